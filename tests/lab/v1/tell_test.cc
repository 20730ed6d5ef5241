#include "tests/lab/v1/tell.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "tests/lab/http_server.h"

namespace jetmon::lab {
namespace {

using std::chrono::milliseconds;

V1Tell Tell(const std::string& url) {
  V1Tell tell;
  tell.status = 0;
  tell.site.row.blog_id = 5;
  tell.site.row.url = url;
  tell.site.last_check_ms = 1'775'037'600'123;
  V1Check local;
  local.code = 500;
  local.rtt_ms = 12;
  V1Check remote;
  remote.by_veriflier = true;
  remote.host = "127.0.1.6";
  tell.site.checks = {local, remote};
  return tell;
}

TEST(TellText, IsV1sJson) {
  V1Tell tell = Tell("http://x/\"\\");
  EXPECT_EQ(TellText(tell, "secret"),
            "{\"blog_id\":5,\"monitor_url\":\"http://x/\\\"\\\\\",\"status_id\":0,\"last_check\":"
            "\"2026-04-01T10:00:00.123Z\",\"last_status_change\":null,\"checks\":[{\"type\":1,"
            "\"status\":0,\"rtt\":12,\"code\":500},{\"type\":2,\"host\":\"127.0.1.6\",\"status\":0,"
            "\"rtt\":0,\"code\":0}],\"token\":\"secret\"}");
  tell.site.row.last_status_change_s = 1'775'037'000;
  EXPECT_NE(TellText(tell, "").find("\"last_status_change\":\"2026-04-01T09:50:00.000Z\""),
            std::string::npos);
}

TEST(CanBeTold, NotWithASpaceOrWhatIsBeyondLatin1) {
  EXPECT_TRUE(CanBeTold(TellText(Tell("http://x/?a=1&b={}|^%20"), "t")));
  EXPECT_TRUE(CanBeTold(TellText(Tell("http://x/\xc3\xa9\xc2\xa0"), "t")));  // e acute, U+00A0
  EXPECT_FALSE(CanBeTold(TellText(Tell("http://x/a b"), "t")));
  EXPECT_FALSE(CanBeTold(TellText(Tell("http://x/\xe4\xb8\xad"), "t")));  // a Chinese character
  EXPECT_FALSE(CanBeTold(TellText(Tell("http://x/\xc4\x80"), "t")));      // U+0100
  EXPECT_FALSE(CanBeTold(TellText(Tell("http://x/"), "a secret")));
}

// A receiver that answers as it is told to.
class Receiver {
 public:
  explicit Receiver(HttpAnswer answer)
      : server_(*HttpServer::Listen("127.0.0.1:0",
                                    [this, answer](const HttpRequest& request) {
                                      last_ = request;
                                      return answer;
                                    })),
        thread_([this] { server_->Run(); }) {}
  ~Receiver() { End(); }
  bool Send(const std::string& text, milliseconds limit = milliseconds(5000)) {
    HttpUrl url;
    url.host = "127.0.0.1";
    url.port = server_->port();
    return SendTell(url, "127.0.1.5", text, limit);
  }
  // The last request, once nobody writes it any more.
  const HttpRequest& last() {
    End();
    return last_;
  }

 private:
  void End() {
    server_->Stop();
    if (thread_.joinable()) thread_.join();
  }
  HttpRequest last_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

HttpAnswer Says(int status, const std::string& body) {
  HttpAnswer answer;
  answer.status = status;
  answer.body = body;
  return answer;
}

TEST(SendTell, SendsTheTextAsItIs) {
  Receiver receiver(Says(200, "{\"success\": true}\n"));
  EXPECT_TRUE(receiver.Send("{\"a\":\"b?c&d\"}"));
  EXPECT_EQ(receiver.last().method, "GET");
  EXPECT_EQ(receiver.last().path, "/jetmon/");
  EXPECT_EQ(receiver.last().query, "data={\"a\":\"b?c&d\"}");
  EXPECT_EQ(receiver.last().source, "127.0.1.5");
}

TEST(SendTell, FailsUnlessItSucceeds) {
  EXPECT_FALSE(Receiver(Says(500, "{\"success\":true}")).Send("{}"));
  EXPECT_FALSE(Receiver(Says(200, "{\"success\":false}")).Send("{}"));
  EXPECT_FALSE(Receiver(Says(200, "")).Send("{}"));
  HttpAnswer reset;
  reset.kind = HttpAnswer::Kind::kReset;
  EXPECT_FALSE(Receiver(reset).Send("{}"));
  HttpAnswer never;
  never.kind = HttpAnswer::Kind::kNever;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(Receiver(never).Send("{}", milliseconds(200)));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(200));
}

}  // namespace
}  // namespace jetmon::lab

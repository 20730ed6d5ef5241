#include "cli/probe_commands.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/json.h"
#include "cli/run_fixture.h"
#include "cli/terminal.h"
#include "probe/test_certificates.h"
#include "probe/test_server.h"
#include "probe/test_tls_server.h"

namespace jetmon::cli {
namespace {

using probe::TestServer;
using testing::HasSubstr;
using testing::Not;

constexpr char kOpen[] = "--allow-cidr=127.0.0.0/8";
constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nwelcome";

Ran Probe(std::vector<std::string> words) {
  words.insert(words.begin(), "probe");
  return RunCommand(std::move(words), AddProbeCommands);
}

std::string Path(const std::string& name) { return absl::StrCat(getenv("TEST_TMPDIR"), "/", name); }

std::string ListOf(const std::string& content) {
  std::ofstream(Path("list.txt"), std::ios::binary) << content;
  return Path("list.txt");
}

// The objects of a JSON list, the summary apart.
struct Results {
  std::vector<Json> checks;
  Json summary;
};

Results Parse(const std::string& out) {
  Results results;
  for (absl::string_view line : absl::StrSplit(out, '\n', absl::SkipEmpty())) {
    const auto json = Json::Parse({line.data(), line.size()});
    EXPECT_TRUE(json.ok()) << line;
    if (json->Has("summary")) {
      results.summary = (*json)["summary"];
    } else {
      EXPECT_TRUE(results.summary.Keys().empty()) << "the summary is the last line";
      results.checks.push_back(*json);
    }
  }
  return results;
}

// /missing is 404, /away leads to /, /inside leads to an address that nobody opened, all else is
// up.
void Serve(TestServer::Connection& c, const std::string& request) {
  const std::string path = std::vector<std::string>(absl::StrSplit(request, ' '))[1];
  const std::string end = "\r\nContent-Length: 0\r\n\r\n";
  if (path == "/missing") {
    c.Send("HTTP/1.1 404 N" + end);
  } else if (path == "/away") {
    c.Send("HTTP/1.1 302 F\r\nLocation: /" + end);
  } else if (path == "/inside") {
    c.Send("HTTP/1.1 302 F\r\nLocation: http://10.0.0.1/" + end);
  } else {
    c.Send(kAnswer);
  }
}

TEST(ProbeCommandTest, OneThatIsUp) {
  TestServer server(Serve);
  const Ran ran = Probe({server.Url("/away"), kOpen, "--keyword", "welcome"});
  EXPECT_EQ(ran.code, kOk) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("/away, get-full, timeout 10000 ms\n"));
  EXPECT_THAT(ran.out, HasSubstr("* redirected to " + server.Url("/") + "\n"));
  EXPECT_THAT(ran.out, HasSubstr("* connected to 127.0.0.1 in "));
  EXPECT_THAT(ran.out, HasSubstr("* first byte after "));
  EXPECT_THAT(ran.out, HasSubstr("\nup, HTTP 200, "));
  EXPECT_EQ(ran.err, "");
}

TEST(ProbeCommandTest, OptionsReachTheRequest) {
  TestServer server(Serve);
  const Ran ran = Probe({server.Url("/x"), kOpen, "--header", "X-Key: one", "--header",
                         "X-Other: two", "--user-agent", "me/1.0"});
  EXPECT_EQ(ran.code, kOk) << ran.err;
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_THAT(server.requests()[0], HasSubstr("GET /x HTTP/1.1\r\n"));
  EXPECT_THAT(server.requests()[0], HasSubstr("X-Key: one\r\n"));
  EXPECT_THAT(server.requests()[0], HasSubstr("X-Other: two\r\n"));
  EXPECT_THAT(server.requests()[0], HasSubstr("me/1.0\r\n"));
  EXPECT_EQ(Probe({server.Url("/x"), kOpen, "--forbid", "come"}).code, kFailed);
  EXPECT_EQ(Probe({server.Url("/away"), kOpen, "--redirects", "fail"}).code, kFailed);
}

TEST(ProbeCommandTest, ExitCodes) {
  TestServer server(Serve);
  Ran ran = Probe({server.Url("/missing"), kOpen});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out, HasSubstr("down, HTTP 404, code 0 (client), "));
  ran = Probe({absl::StrCat("http://127.0.0.1:", probe::UnusedPort(), "/"), kOpen});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out, HasSubstr("code 2 (intermittent)"));
  const int before = server.connections();
  ran = Probe({server.Url("/")});
  EXPECT_EQ(ran.code, kBlocked);
  EXPECT_THAT(ran.out, HasSubstr("safety, code 9"));
  EXPECT_THAT(ran.out, HasSubstr("--allow-cidr"));
  EXPECT_EQ(server.connections(), before);
  EXPECT_EQ(Probe({server.Url("/inside"), kOpen}).code, kBlocked);
  EXPECT_EQ(Probe({server.Url("/"), "--target-safety=off"}).code, kOk);
}

TEST(ProbeCommandTest, WhatIsNoCommand) {
  EXPECT_THAT(Probe({}).err, HasSubstr("takes a URL, or --file"));
  EXPECT_EQ(Probe({"http://a/", "--file", "x"}).code, kUsage);
  EXPECT_THAT(Probe({"http://"}).err, HasSubstr("no URL: http://: no host"));
  EXPECT_THAT(Probe({"http://\x1b[31m/"}).err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(Probe({"http://a/", "--rate", "5"}).err, HasSubstr("--file"));
  EXPECT_EQ(Probe({"--file", "x", "--rate", "0"}).code, kUsage);
  EXPECT_EQ(Probe({"--file", "x", "--concurrency", "10001"}).code, kUsage);
  EXPECT_EQ(Probe({"http://a/", "--output", "xml"}).code, kUsage);
  EXPECT_THAT(Probe({"--file", Path("none")}).err, HasSubstr("can't read"));
  EXPECT_THAT(Probe({"--file", Path("")}).err, HasSubstr("is a folder"));
  EXPECT_THAT(Probe({"http://a/", "--ca-file", Path("none")}).err, HasSubstr("--ca-file"));
  const Ran empty = Probe({"--file", ListOf("# nothing\n\n")});
  EXPECT_EQ(empty.code, kUsage);
  EXPECT_THAT(empty.err, HasSubstr("no URL in "));
}

TEST(ProbeCommandTest, Https) {
  const auto ca = probe::MakeCa("Test Root");
  probe::TestTlsServer server(probe::Issue(ca, {}),
                              [](auto& c, const std::string&) { c.Send(kAnswer); });
  const std::string file = probe::WriteCertificate(ca, "ca.pem");
  Ran ran = Probe({server.Url("/"), kOpen, "--mode=get-simple", "--ca-file", file});
  EXPECT_EQ(ran.code, kOk) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("* TLSv1.3, TLS_"));
  EXPECT_THAT(ran.out, HasSubstr("full handshake in "));
  EXPECT_THAT(ran.out, HasSubstr(" by "));
  EXPECT_THAT(ran.out, HasSubstr(": trusted\n"));
  ran = Probe({server.Url("/"), kOpen, "--mode=get-simple", "--output=json"});
  EXPECT_EQ(ran.code, kFailed);
  const auto json = Json::Parse(ran.out);
  ASSERT_TRUE(json.ok()) << ran.out;
  EXPECT_EQ((*json)["error_code"].Number(), 3);
  EXPECT_EQ((*json)["failure_class"].Text(), "https");
}

TEST(ProbeCommandTest, AListInJson) {
  TestServer server(Serve);
  const std::string file =
      ListOf(absl::StrCat("\xef\xbb\xbf# sites\r\n", server.Url("/"), "\r\n\r\nhttp://:80/\r\n",
                          server.Url("/missing"), "\r\nhttp://10.0.0.1/\r\n", server.Url("/last")));
  const Ran ran = Probe({"--file", file, kOpen, "--rate", "1000", "--output", "json"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("line 4 of " + file + ": http://:80/: no host"));
  const Results results = Parse(ran.out);
  std::set<std::string> seen;
  for (const Json& check : results.checks) {
    seen.insert(absl::StrCat(check["line"].Text(), " ", check["outcome"].Text(), " ",
                             check["http_code"].Text()));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"2 up 200", "5 down 404", "6 safety 0", "7 up 200"}));
  EXPECT_EQ(results.summary["checked"].Number(), 4);
  EXPECT_EQ(results.summary["up"].Number(), 2);
  EXPECT_EQ(results.summary["bad_lines"].Number(), 1);
  EXPECT_EQ(results.summary["others"]["down: client, code 0"].Number(), 1);
  EXPECT_EQ(results.summary["others"]["safety"].Number(), 1);
}

TEST(ProbeCommandTest, AListAsATable) {
  TestServer server(Serve);
  const std::string up = server.Url("/"), down = server.Url("/missing");
  Ran ran = Probe({"--file", ListOf(up + "\n" + down + "\n"), kOpen, "--rate", "1000"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out, HasSubstr(up + "  up, HTTP 200, "));
  EXPECT_THAT(ran.out, HasSubstr(down + "  down, HTTP 404, code 0 (client), "));
  EXPECT_THAT(ran.out, HasSubstr("2 checked in "));
  EXPECT_THAT(ran.out, HasSubstr("  up: 1\n  down: client, code 0: 1\n  time p50 "));
  EXPECT_EQ(ran.err, "") << "a progress bar is for terminals";
  ran = Probe({"--file", Path("list.txt"), kOpen, "--rate", "1000", "--failures-only"});
  EXPECT_THAT(ran.out, Not(HasSubstr(up + "  up")));
  EXPECT_THAT(ran.out, HasSubstr(down + "  down"));
  EXPECT_THAT(ran.out, HasSubstr("2 checked in "));
}

TEST(ProbeCommandTest, ExitCodesOfLists) {
  TestServer server(Serve);
  const auto code = [](const std::string& list) {
    return Probe({"--file", ListOf(list), kOpen, "--rate", "1000"}).code;
  };
  const std::string up = server.Url("/") + "\n", refused = "http://10.0.0.1/\n";
  EXPECT_EQ(code(up + up), kOk);
  EXPECT_EQ(code(up + refused), kBlocked);
  EXPECT_EQ(code(up + refused + server.Url("/missing\n")), kFailed);
  EXPECT_EQ(code(up + "http://\n"), kFailed);
  EXPECT_EQ(code("http://\n"), kUsage);
}

TEST(ProbeCommandTest, ManyBadLinesAreCountedNotTold) {
  std::string list;
  for (int i = 0; i < 1000; ++i) list += "http://\n";
  const Ran ran = Probe({"--file", ListOf(list)});
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 21);
  EXPECT_THAT(ran.err, HasSubstr("only counted"));
  EXPECT_THAT(ran.out, HasSubstr("lines without a URL: 1000\n"));
}

TEST(ProbeCommandTest, WhatAListHoldsCantSteerTheTerminal) {
  TestServer server(Serve);
  const Ran ran = Probe({"--file", ListOf(server.Url("/\x1b[2J\xc2\x9b\xff\n")), kOpen});
  EXPECT_EQ(ran.code, kOk) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr(server.Url("/?[2J???  up")));
  const Ran json = Probe({"--file", Path("list.txt"), kOpen, "--output=json"});
  EXPECT_EQ(Parse(json.out).checks[0]["url"].Text(), server.Url("/?[2J???"));
}

TEST(ProbeCommandTest, CtrlCEndsAListWithWhatWasDone) {
  TestServer server([](TestServer::Connection& c, const std::string& request) {
    if (request.find(" /hold ") == request.npos) {
      c.Send(kAnswer);
    } else {
      kill(getpid(), SIGINT);
      c.AwaitClose();
    }
  });
  const std::string list = absl::StrCat(server.Url("/1\n"), server.Url("/2\n"),
                                        server.Url("/hold\n"), server.Url("/never\n"));
  const Ran ran = Probe({"--file", ListOf(list), kOpen, "--rate=1000", "--concurrency=1"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out, HasSubstr("2 checked in "));
  EXPECT_THAT(ran.out, HasSubstr("  up: 2\n"));
  EXPECT_THAT(ran.err, HasSubstr("interrupted"));
  EXPECT_EQ(server.connections(), 3);
}

// A pipe whose writer has nothing more to say yet.
class ProbePipeTest : public testing::Test {
 protected:
  void SetUp() override {
    unlink(path_.c_str());
    ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
    writer_ = open(path_.c_str(), O_RDWR);
    ASSERT_GE(writer_, 0);
  }
  void TearDown() override { CloseWriter(); }
  void Write(const std::string& text) {
    ASSERT_EQ(write(writer_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void CloseWriter() {
    if (writer_ >= 0) close(writer_);
    writer_ = -1;
  }

  const std::string path_ = Path("pipe");
  int writer_ = -1;
};

TEST_F(ProbePipeTest, IsReadAsItIsWritten) {
  TestServer server([this](TestServer::Connection& c, const std::string& request) {
    c.Send(kAnswer);
    if (request.find(" /1 ") == request.npos) return;
    // The first was checked while the pipe had no more to say.
    Write("http://127.0.0.1:1/\n");
    CloseWriter();
  });
  Write(server.Url("/1\n"));
  const Ran ran = Probe({"--file", path_, kOpen, "--output=json"});
  EXPECT_EQ(ran.code, kFailed);
  const Results results = Parse(ran.out);
  ASSERT_EQ(results.checks.size(), 2u);
  EXPECT_EQ(results.checks[1]["line"].Number(), 2);
}

TEST_F(ProbePipeTest, CtrlCDoesNotWaitForTheNextLine) {
  TestServer server([](TestServer::Connection& c, const std::string&) {
    c.Send(kAnswer);
    kill(getpid(), SIGINT);
  });
  Write(server.Url("/\n"));
  const Ran ran = Probe({"--file", path_, kOpen});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("interrupted"));
}

void ProbeWithFewFiles(const std::string& list) {
  const rlimit few{300, 300};
  setrlimit(RLIMIT_NOFILE, &few);
  const Ran ran = Probe({"--file", list, "--concurrency=800"});
  std::cerr << ran.err;
  exit(ran.code);
}

TEST(ProbeFilesTest, MoreOpenFilesAreAskedForOrTheNumberIsRefused) {
  TestServer server(Serve);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_GE(before.rlim_max, 900u);
  rlimit low = before;
  low.rlim_cur = 300;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const std::string list = ListOf(server.Url("/\n"));
  EXPECT_EQ(Probe({"--file", list, kOpen, "--concurrency=800"}).code, kOk);
  rlimit now{};
  getrlimit(RLIMIT_NOFILE, &now);
  EXPECT_EQ(now.rlim_cur, 900u);
  setrlimit(RLIMIT_NOFILE, &before);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(ProbeWithFewFiles(list), testing::ExitedWithCode(kUsage),
              "--concurrency 800 needs 900 open files");
}

}  // namespace
}  // namespace jetmon::cli

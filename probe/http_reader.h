#ifndef JETMON_PROBE_HTTP_READER_H_
#define JETMON_PROBE_HTTP_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "probe/body_reader.h"
#include "probe/check.h"

namespace jetmon::probe {

// Reads one HTTP/1.x answer from pieces of any size, without input or output of its own. Tolerant,
// because whatever curl or Go's client accepts, some living site sends, and refusing it would be a
// false outage: no space after the status code, bare LF, a space in a header's name, a header line
// without a colon, Transfer-Encoding together with Content-Length (the former wins), lengths that
// contradict each other (the smallest counts), junk behind a chunk's size, no line behind the last
// chunk, headers that end with the connection. 1xx answers are skipped (101 is final). What is kept
// is bounded, and so is what is read. probe/curl_table_test.cc compares it with curl.
//
// Feed and Finish until the state is kDone or kBroken; later pieces are ignored. Not thread-safe.
class HttpReader {
 public:
  // Status lines and headers of all answers together, in bytes.
  static constexpr size_t kMaxHeaderBytes = 64 * 1024;
  // Of the body as sent, with its framing; more of it is not waited for.
  static constexpr size_t kMaxBodyBytes = 64 * 1024;
  // When the body is judged, BodyReader bounds what comes of it, and this is how many times as much
  // may be sent for that: a chunk of one byte takes six.
  static constexpr size_t kMaxSentPerByte = 8;
  // Of the line that begins a chunk.
  static constexpr size_t kMaxChunkLine = 4096;

  enum class State {
    kStatusLine,
    kHeaders,  // status_code() is known
    kBody,     // headers_complete()
    kDone,     // the answer ended, or as much of its body as is read; or its body is wrong
    kBroken,   // not HTTP, or its headers broke off or are too long; status_code() may be known
  };

  struct Options {
    bool head = false;  // the request was HEAD, so the answer has no body whatever its headers say
    bool judge_body = false;           // decode the body and look for keywords
    const FullRules* rules = nullptr;  // with judge_body; may be null, outlives the reader
  };
  explicit HttpReader(Options options) : options_(options) {}

  State Feed(std::string_view bytes);
  // The peer has closed its side in order.
  State Finish();

  State state() const { return state_; }
  // 1..999, sent as three digits; 0 while unknown.
  int status_code() const { return code_; }
  // Of the last 1xx answer before it; 0 if there was none.
  int interim_code() const { return interim_code_; }
  // True from the end of the headers; stays so.
  bool headers_complete() const { return headers_complete_; }
  // True if the whole body was read, as far as its framing can tell.
  bool body_complete() const { return body_complete_; }
  // The first Location header that is not empty, without any control character: it ends at a CR or
  // NUL, as curl reads it; tabs are dropped and other controls percent-encoded, as browsers do. At
  // most two bytes longer than the longest URL; longer than that is no URL.
  const std::string& location() const { return location_; }
  // What became of the body; null if it is not judged, or if there is none.
  const BodyReader* body() const { return body_.get(); }
  // What is wrong, for people; empty if nothing.
  const std::string& error() const { return error_; }

 private:
  enum class Framing { kNone, kLength, kChunked, kUntilClose };
  enum class ChunkPart { kSize, kData, kDataEnd };

  size_t MostBodyBytes() const;
  bool TakeLine(std::string_view* bytes, std::string_view* line);
  void ReadStatusLine(std::string_view line);
  void ReadHeader(std::string_view line);
  void ReadLength(std::string_view value);
  void ReadTransferEncoding(std::string_view value);
  void AddContentEncoding(std::string_view value);
  void EndHeaders();
  void FeedBody(std::string_view bytes);
  void FeedChunked(std::string_view bytes);
  void TakeData(std::string_view bytes);
  void ReadChunkLine(std::string_view line);
  void Break(std::string_view error);
  void EndBody(bool complete, std::string_view error);

  Options options_;
  State state_ = State::kStatusLine;
  int code_ = 0;
  int interim_code_ = 0;
  bool headers_complete_ = false;
  bool body_complete_ = false;
  bool interim_ = false;  // reading the headers of a 1xx answer
  bool chunked_ = false;
  bool has_length_ = false;
  bool loose_length_ = false;  // of what a transfer encoding made longer or shorter
  Framing framing_ = Framing::kNone;
  ChunkPart chunk_part_ = ChunkPart::kSize;
  uint64_t left_ = 0;  // of the body, or of the chunk
  size_t header_bytes_ = 0;
  size_t body_bytes_ = 0;
  std::string pending_;  // a line begun in an earlier piece
  std::string joined_;   // what TakeLine's line points into when it began there
  std::string location_;
  std::string content_encoding_;  // a list; only when the body is judged
  std::unique_ptr<BodyReader> body_;
  std::string error_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_HTTP_READER_H_

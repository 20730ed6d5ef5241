#include "probe/http_reader.h"

#include <algorithm>

#include "probe/text.h"
#include "probe/url.h"

namespace jetmon::probe {
namespace {

constexpr std::string_view kProtocol = "HTTP";
constexpr size_t kMaxEncodingBytes = 100;
constexpr std::string_view kHex = "0123456789ABCDEF";

// False as soon as a first line can't become a status line any more.
bool CanBeStatusLine(std::string_view begun) {
  if (begun == "\r") return true;  // an empty line, about to end
  const size_t n = std::min(begun.size(), kProtocol.size());
  return EqualsIgnoreCase(begun.substr(0, n), kProtocol.substr(0, n));
}

void SkipDigits(std::string_view* text) {
  while (!text->empty() && absl::ascii_isdigit(text->front())) text->remove_prefix(1);
}

// "HTTP/1.1 200 OK", "HTTP/1.1 200OK", "HTTP/2 200", "HTTP 200": the code, or 0 if there is none. A
// code has three digits: whatever else stands there must not pass for a success below 400.
int StatusCode(std::string_view line) {
  if (line.size() < kProtocol.size() || !CanBeStatusLine(line)) return 0;
  line.remove_prefix(kProtocol.size());
  if (line.starts_with('/')) {
    line.remove_prefix(1);
    while (line.starts_with(' ')) line.remove_prefix(1);
    SkipDigits(&line);
    if (line.starts_with('.')) line.remove_prefix(1);
    SkipDigits(&line);
  }
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == 0 || begin == std::string_view::npos) return 0;
  line.remove_prefix(begin);
  size_t digits = 0;
  while (digits < line.size() && absl::ascii_isdigit(line[digits])) ++digits;
  uint32_t code = 0;
  if (digits != 3 || !ParseDigits(line.substr(0, digits), &code)) return 0;
  return static_cast<int>(code);
}

// Calls `f` with each item of a comma-separated list.
template <typename F>
void ForEachItem(std::string_view list, F f) {
  for (;;) {
    const size_t comma = list.find(',');
    f(Trim(list.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// See location().
std::string CleanLocation(std::string_view value) {
  value = Trim(value.substr(0, value.find_first_of(std::string_view("\r\0", 2))));
  std::string out;
  for (const unsigned char c : value) {
    if (out.size() > kMaxUrlBytes) break;
    if (c == '\t') continue;
    if (c < ' ' || c == 0x7f) {
      out.append({'%', kHex[c >> 4], kHex[c & 15]});
    } else {
      out.push_back(static_cast<char>(c));
    }
  }
  return out;
}

}  // namespace

HttpReader::State HttpReader::Feed(std::string_view bytes) {
  std::string_view line;
  while (!bytes.empty() && (state_ == State::kStatusLine || state_ == State::kHeaders)) {
    const size_t before = bytes.size();
    const bool whole = TakeLine(&bytes, &line);
    header_bytes_ += before - bytes.size();
    if (state_ == State::kStatusLine && !CanBeStatusLine(whole ? line : pending_)) {
      Break("not HTTP");
    } else if (header_bytes_ > kMaxHeaderBytes) {
      Break("headers longer than 64 KiB");
    } else if (!whole) {
      continue;
    } else if (state_ == State::kStatusLine) {
      ReadStatusLine(line);
    } else if (line.empty()) {
      EndHeaders();
    } else {
      ReadHeader(line);
    }
  }
  if (!bytes.empty() && state_ == State::kBody) FeedBody(bytes);
  return state_;
}

HttpReader::State HttpReader::Finish() {
  switch (state_) {
    case State::kStatusLine:
      Break(!pending_.empty()    ? "closed inside the status line"
            : interim_code_ != 0 ? "closed after an interim answer"
                                 : "closed without an answer");
      break;
    case State::kHeaders:
      // As curl does. A header that is cut off in its middle is not used.
      if (interim_) {
        Break("closed after an interim answer");
      } else {
        EndHeaders();
        if (state_ == State::kBody)
          EndBody(framing_ == Framing::kUntilClose, "closed in the headers");
        if (error_.empty()) error_ = "closed in the headers";
      }
      break;
    case State::kBody:
      if (framing_ == Framing::kUntilClose || (framing_ == Framing::kLength && loose_length_)) {
        EndBody(true, "");
      } else {
        EndBody(false, "body broke off");
      }
      break;
    case State::kDone:
    case State::kBroken:
      break;
  }
  return state_;
}

// Takes one line off `bytes`, without its end; if there is none, keeps what there is for the next
// piece and returns false. `line` is valid until the next call.
bool HttpReader::TakeLine(std::string_view* bytes, std::string_view* line) {
  const size_t end = bytes->find('\n');
  if (end == std::string_view::npos) {
    // Feed stops soon after the bound, a piece is at most one read buffer: pending_ stays small.
    pending_.append(*bytes);
    *bytes = {};
    return false;
  }
  if (pending_.empty()) {
    *line = bytes->substr(0, end);
  } else {
    joined_.swap(pending_);
    pending_.clear();
    joined_.append(bytes->substr(0, end));
    *line = joined_;
  }
  bytes->remove_prefix(end + 1);
  if (line->ends_with('\r')) line->remove_suffix(1);
  return true;
}

void HttpReader::ReadStatusLine(std::string_view line) {
  if (line.empty()) return;  // some servers end the answer before with one line too many
  const int code = StatusCode(line);
  if (code == 0) return Break("not HTTP");
  interim_ = code >= 100 && code < 200 && code != 101;
  (interim_ ? interim_code_ : code_) = code;
  state_ = State::kHeaders;
}

void HttpReader::ReadHeader(std::string_view line) {
  if (interim_ || line.front() == ' ' || line.front() == '\t')
    return;  // or folded: nothing we need
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view name = Trim(line.substr(0, colon));
  const std::string_view value = Trim(line.substr(colon + 1));
  if (EqualsIgnoreCase(name, "location")) {
    if (location_.empty()) location_ = CleanLocation(line.substr(colon + 1));
  } else if (EqualsIgnoreCase(name, "content-length")) {
    ReadLength(value);
  } else if (EqualsIgnoreCase(name, "content-encoding")) {
    AddContentEncoding(value);
  } else if (EqualsIgnoreCase(name, "transfer-encoding")) {
    ReadTransferEncoding(value);
  }
}

// The number that an item begins with, as curl reads it: "5", "5, 5", "+5", "5 bytes". Of several
// the smallest: what is complete by any of them is never called broken off. No number is no length.
void HttpReader::ReadLength(std::string_view value) {
  ForEachItem(value, [&](std::string_view item) {
    uint64_t length = 0;
    if (item.starts_with('+')) item.remove_prefix(1);
    if (!ParseDigits(item.substr(0, item.find_first_not_of("0123456789")), &length)) return;
    left_ = has_length_ ? std::min(left_, length) : length;
    has_length_ = true;
  });
}

// Chunked, wherever in the list. Others change the length, so that the end of the connection is as
// good; servers that mean Content-Encoding write gzip here.
void HttpReader::ReadTransferEncoding(std::string_view value) {
  ForEachItem(value, [&](std::string_view item) {
    if (EqualsIgnoreCase(item, "chunked")) {
      chunked_ = true;
    } else {
      loose_length_ = true;
      AddContentEncoding(item);
    }
  });
}

void HttpReader::AddContentEncoding(std::string_view value) {
  if (!options_.judge_body || content_encoding_.size() >= kMaxEncodingBytes) return;
  if (!content_encoding_.empty()) content_encoding_ += ',';
  content_encoding_ += value.substr(0, kMaxEncodingBytes);
}

size_t HttpReader::MostBodyBytes() const {
  return body_ != nullptr ? kMaxSentPerByte * body_->most_bytes() : kMaxBodyBytes;
}

void HttpReader::EndHeaders() {
  if (interim_) {
    interim_ = false;
    state_ = State::kStatusLine;
    return;
  }
  headers_complete_ = true;
  const bool bodyless = options_.head || code_ == 101 || code_ == 204 || code_ == 304;
  if (bodyless || (has_length_ && left_ == 0 && !chunked_)) return EndBody(true, "");
  framing_ = chunked_ ? Framing::kChunked : has_length_ ? Framing::kLength : Framing::kUntilClose;
  if (chunked_) left_ = 0;
  state_ = State::kBody;
  if (!options_.judge_body) return;
  body_ = std::make_unique<BodyReader>(options_.rules, content_encoding_);
  if (!body_->error().empty()) EndBody(false, body_->error());
}

void HttpReader::FeedBody(std::string_view bytes) {
  bytes = bytes.substr(0, MostBodyBytes() - body_bytes_);
  body_bytes_ += bytes.size();
  if (framing_ == Framing::kChunked) {
    FeedChunked(bytes);
  } else if (framing_ == Framing::kLength) {
    bytes = bytes.substr(0, left_);
    left_ -= bytes.size();
    TakeData(bytes);
    if (left_ == 0 && state_ == State::kBody) EndBody(true, "");
  } else {
    TakeData(bytes);
  }
  if (state_ != State::kBody) return;
  // Its errors have ended it in TakeData.
  const bool enough = body_ != nullptr && !body_->SearchRest();
  if (enough || body_bytes_ == MostBodyBytes()) EndBody(false, "");
}

void HttpReader::TakeData(std::string_view bytes) {
  if (body_ == nullptr || body_->Feed(bytes)) return;
  EndBody(false, body_->error());
}

void HttpReader::FeedChunked(std::string_view bytes) {
  std::string_view line;
  while (!bytes.empty() && state_ == State::kBody) {
    if (chunk_part_ == ChunkPart::kData) {
      const size_t n = std::min<uint64_t>(left_, bytes.size());
      left_ -= n;
      if (left_ == 0) chunk_part_ = ChunkPart::kDataEnd;
      TakeData(bytes.substr(0, n));
      bytes.remove_prefix(n);
    } else if (TakeLine(&bytes, &line)) {
      ReadChunkLine(line);
    } else if (pending_.size() > kMaxChunkLine + 1) {  // even if its last byte is a CR
      EndBody(false, "chunk line too long");
    }
  }
}

// A size may have spaces, an extension or junk behind it. The chunk of size 0 ends the body: of
// trailers nothing is needed, and not every server sends the empty line behind them.
void HttpReader::ReadChunkLine(std::string_view line) {
  if (line.size() > kMaxChunkLine) return EndBody(false, "chunk line too long");
  if (chunk_part_ == ChunkPart::kDataEnd) {
    if (!Trim(line).empty()) return EndBody(false, "a chunk longer than its size");
    chunk_part_ = ChunkPart::kSize;
    return;
  }
  line = Trim(line);
  if (!ParseDigits(line.substr(0, line.find_first_not_of("0123456789abcdefABCDEF")), &left_, 16)) {
    EndBody(false, "bad chunk size");
  } else if (left_ == 0) {
    EndBody(true, "");
  } else {
    chunk_part_ = ChunkPart::kData;
  }
}

void HttpReader::Break(std::string_view error) {
  error_ = std::string(error);
  state_ = State::kBroken;
}

void HttpReader::EndBody(bool complete, std::string_view error) {
  body_complete_ = complete;
  error_ = std::string(error);
  state_ = State::kDone;
  if (body_ == nullptr) return;
  const bool more = body_->SearchRest();
  if (!body_->error().empty()) return;  // it is `error`
  if (!more) {
    // It had enough before this end, as it would have said of larger pieces.
    body_complete_ = false;
    error_.clear();
  } else if (complete) {
    body_->Finish();
    error_ = body_->error();
  }
}

}  // namespace jetmon::probe

#ifndef JETMON_PROBE_BODY_READER_H_
#define JETMON_PROBE_BODY_READER_H_

#include <zlib.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "probe/check.h"

namespace jetmon::probe {

// What `full` makes of a body as it comes: undoes gzip and deflate, and looks for keywords,
// wherever the pieces are cut. Keeps no more of the body than a keyword is long. Not thread-safe.
class BodyReader {
 public:
  // Of the decoded body, in bytes: this much is read to judge whether it is complete,
  static constexpr size_t kMaxBytes = 64 * 1024;
  // and this much as long as a keyword is looked for.
  static constexpr size_t kMaxSearchedBytes = 1024 * 1024;

  // `rules` may be null; outlives the reader. `content_encoding` is the header's value: gzip,
  // x-gzip, deflate (with or without zlib's frame), identity or nothing. In another encoding no
  // keyword can be found, which is an error if one is looked for; else the body is counted as it
  // is.
  BodyReader(const FullRules* rules, std::string_view content_encoding);
  ~BodyReader();
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  // Takes the next piece, without its transfer framing. False when nothing more is wanted: enough
  // was seen, or it can't be decoded.
  bool Feed(std::string_view bytes);
  // The body has ended in order.
  void Finish();

  bool keyword_found() const { return !keyword_wanted_; }  // true if there is none to look for
  const std::string& forbidden_found() const { return forbidden_found_; }  // empty if none
  size_t bytes() const { return bytes_; }                                  // decoded
  const std::string& error() const { return error_; }  // empty if it can be decoded

 private:
  enum class Coding { kNone, kGzip, kDeflate, kUnknown };

  bool Inflate(std::string_view bytes);
  bool BeginInflate(std::string_view first);
  bool EndOfMember(std::string_view rest);
  // Decoded bytes.
  void Take(std::string_view bytes);
  bool Enough() const;
  void Fail(std::string error);

  const FullRules* const rules_;
  Coding coding_ = Coding::kNone;
  bool inflating_ = false, inflated_ = false;  // begun; all of it
  std::string begun_;                          // a first byte, until there is a second
  z_stream zlib_{};
  bool keyword_wanted_ = false;
  std::string forbidden_found_;
  size_t longest_ = 0;  // keyword, in bytes
  std::string window_;  // the end of what was seen, in which a keyword may have begun
  size_t bytes_ = 0;
  std::string error_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_BODY_READER_H_

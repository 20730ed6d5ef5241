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
// wherever the pieces are cut. Bounded in memory (about 50 KiB, most of it zlib's) and in work,
// whatever is sent. Not thread-safe.
//
// It has enough, and what follows is neither decoded nor judged, as soon as
// * a forbidden keyword was found: that decides; or
// * no keyword is still looked for and kMaxBytes came: up to there the body must be complete; or
// * kMaxSearchedBytes came.
class BodyReader {
 public:
  // Of the decoded body, in bytes: this much is read to judge whether it is complete,
  static constexpr size_t kMaxBytes = 64 * 1024;
  // and this much as long as a keyword is looked for: one that must be there until it was found,
  // those that must not to the end.
  static constexpr size_t kMaxSearchedBytes = 1024 * 1024;

  // `rules` may be null; outlives the reader. `content_encoding` is the headers' value, a list:
  // gzip, x-gzip or deflate (with or without zlib's frame) once; identity, none and empty items
  // don't count. In another encoding, or several, no keyword can be found, which is an error if one
  // is looked for; else the body is counted as it is.
  BodyReader(const FullRules* rules, std::string_view content_encoding);
  ~BodyReader();
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  // Takes the next piece, without its transfer framing. False when nothing more is wanted: it has
  // enough, or can't decode it. Small pieces are searched together, so that a body in very small
  // ones costs no more: SearchRest makes sure that all that was taken is searched, and says the
  // same as Feed. To be called whenever the caller would wait for more, and before the end.
  bool Feed(std::string_view bytes);
  bool SearchRest();
  // The body has ended in order.
  void Finish();

  // True if there is none to look for. Says nothing once a forbidden one was found.
  bool keyword_found() const { return !keyword_wanted_; }
  // The one that ended first; empty if none.
  const std::string& forbidden_found() const { return forbidden_found_; }
  size_t bytes() const { return bytes_; }              // decoded, at most most_bytes()
  size_t most_bytes() const;                           // kMaxBytes or kMaxSearchedBytes
  const std::string& error() const { return error_; }  // empty if it can be decoded

 private:
  enum class Coding { kNone, kGzip, kDeflate, kUnknown };

  void SetCoding(std::string_view content_encoding);
  bool Inflate(std::string_view bytes);
  bool BeginInflate(std::string_view first);
  bool BeginNextMember(std::string_view rest);
  // True if nothing has come of this member, and it is not the first: it need not be one.
  bool MayBeJunk() const { return later_member_ && zlib_.total_out == 0; }
  // Decoded bytes.
  void Take(std::string_view bytes);
  void Search(std::string_view text);
  void EndSearch();
  bool Enough() const;
  void Fail(std::string error);

  const FullRules* const rules_;
  Coding coding_ = Coding::kNone;
  bool inflating_ = false;     // zlib_ is set up
  bool inflated_ = false;      // a member has ended, no other has begun
  bool later_member_ = false;  // not the first
  bool junk_ = false;          // what comes now is none of the body
  std::string begun_;          // a first byte, until there is a second
  z_stream zlib_{};
  bool keyword_wanted_ = false;
  std::string forbidden_found_;
  size_t longest_ = 0;     // keyword, in bytes
  std::string window_;     // of what was searched, where a keyword may have begun; then
  size_t unsearched_ = 0;  // this much that was not
  size_t bytes_ = 0;
  std::string error_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_BODY_READER_H_

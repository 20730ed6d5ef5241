#ifndef JETMON_PROBE_TEST_DEFLATE_H_
#define JETMON_PROBE_TEST_DEFLATE_H_

#include <zlib.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace jetmon::probe {

// Compresses for tests. `bits` as zlib's: 15 + 16 for gzip, 15 for deflate, -15 for deflate without
// a frame.
inline std::string Deflated(std::string_view text, int bits = 15 + 16) {
  z_stream z{};
  if (deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) std::abort();
  std::string out(deflateBound(&z, text.size()) + 32, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  if (deflate(&z, Z_FINISH) != Z_STREAM_END) std::abort();
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_TEST_DEFLATE_H_

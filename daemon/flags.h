#ifndef JETMON_DAEMON_FLAGS_H_
#define JETMON_DAEMON_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace jetmon::daemon {

// What a command line asks for besides its flags' values.
struct Parsed {
  bool help = false;
  bool version = false;
  std::string flagfile;  // "" when none was named
};

// Sets gflags from `args` (without the program's name): --name=value, --name value, --name and
// --noname for booleans, one dash or two; --flagfile=FILE reads such flags from a file first, one
// a line, # starts a comment. gflags' own flags are refused as unknown. InvalidArgument, in one
// line, for an unknown flag, a value that does not fit, or a leftover word.
absl::Status ParseFlags(const std::vector<std::string>& args, Parsed* parsed);

// Sets flags from a file (see above). NotFound if it can't be read.
absl::Status ReadFlagFile(const std::string& path);

// "  --name=VALUE (what it is) default: x" for each flag that is ours, by name.
std::string DescribeFlags();

}  // namespace jetmon::daemon

#endif  // JETMON_DAEMON_FLAGS_H_

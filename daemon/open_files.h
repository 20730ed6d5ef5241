#ifndef JETMON_DAEMON_OPEN_FILES_H_
#define JETMON_DAEMON_OPEN_FILES_H_

#include <cstdint>

namespace jetmon::daemon {

// Raises this process' soft limit of open files to its hard one (1,048,576 at most): shells and
// systemd start programs with 1,024, fewer than a Monitor has checks under way. The limit now in
// force.
uint64_t RaiseOpenFiles();

}  // namespace jetmon::daemon

#endif  // JETMON_DAEMON_OPEN_FILES_H_

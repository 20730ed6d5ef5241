#ifndef JETMON_DAEMON_LOG_H_
#define JETMON_DAEMON_LOG_H_

#include <string_view>

namespace jetmon {

enum class LogLevel { kInfo, kWarning, kError };

// One line on stderr: UTC time with milliseconds, level, message; line breaks in the message are
// printed as spaces. Never log token material. Thread-safe.
void Log(LogLevel level, std::string_view message);

inline void LogInfo(std::string_view message) { Log(LogLevel::kInfo, message); }
inline void LogWarning(std::string_view message) { Log(LogLevel::kWarning, message); }
inline void LogError(std::string_view message) { Log(LogLevel::kError, message); }

}  // namespace jetmon

#endif  // JETMON_DAEMON_LOG_H_

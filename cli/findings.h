#ifndef JETMON_CLI_FINDINGS_H_
#define JETMON_CLI_FINDINGS_H_

#include <string>
#include <vector>

#include "cli/json.h"

namespace jetmon::cli {

// "name=value name=value ..." of an object's plain members that are not empty.
std::string Figures(const Json& object);

// What an operation's answer found, a line each, worst first: blockers with code, text and what to
// do; warnings; the checked items of a preflight; the plain figures of its result; what to do next.
std::vector<std::string> Findings(const Json& answer);

// An answer as text for people: lists as a table, an operation as its findings, else figures.
std::string Table(const Json& answer);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_FINDINGS_H_

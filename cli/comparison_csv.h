#ifndef JETMON_CLI_COMPARISON_CSV_H_
#define JETMON_CLI_COMPARISON_CSV_H_

#include <string>

#include "cli/api_commands.h"

// Rows of a comparison as a CSV file. Both say on standard error how far they are and how many rows
// were written, refuse a file that exists unless `force`, and return the command's exit code.
namespace jetmon::cli {

// Sends the request of a comparison, follows its job to the end, writes its rows, and prints its
// answer.
int CompareToCsv(const ApiOptions& options, const Request& compare, const std::string& path,
                 bool force);

// Writes the rows that `list` (GET .../comparison-results) asks for, all pages of them.
int ResultsToCsv(const ApiOptions& options, const Request& list, const std::string& path,
                 bool force);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_COMPARISON_CSV_H_

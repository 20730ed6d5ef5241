#ifndef JETMON_CLI_V1_PLAN_REPORT_H_
#define JETMON_CLI_V1_PLAN_REPORT_H_

#include <string>

#include "cli/json.h"
#include "cli/v1_plan.h"

namespace jetmon::cli {

// For people: a paragraph for each host, the findings, and whether the plan holds.
std::string V1PlanText(const V1PlanReport& report);
// For scripts: status, hosts, blockers, warnings, left.
Json V1PlanJson(const V1PlanReport& report);

}  // namespace jetmon::cli

#endif  // JETMON_CLI_V1_PLAN_REPORT_H_

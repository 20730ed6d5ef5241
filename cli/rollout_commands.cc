#include "cli/rollout_commands.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "cli/v1_plan.h"
#include "cli/v1_plan_file.h"
#include "cli/v1_plan_report.h"

namespace jetmon::cli {
namespace {

struct Options {
  std::string file, output = "table";
  uint32_t bucket_total = 512;
  std::vector<std::string> held;
};

int FailUsage(const absl::Status& status) {
  std::cerr << "jetmon2: " << status.message() << "\n";
  return kUsage;
}

int CheckV1Plan(const Options& o) {
  BucketSet held;
  for (const std::string& text : o.held) {
    auto range = ParseHeldRange(text, o.bucket_total);
    if (!range.ok()) return FailUsage(range.status());
    held.Add(*range);
  }
  auto hosts = ReadV1Plan(o.file, o.bucket_total);
  if (!hosts.ok()) return FailUsage(hosts.status());
  const V1PlanReport report = JudgeV1Plan(*hosts, o.bucket_total, held);
  if (o.output == "json") {
    std::cout << V1PlanJson(report).Dump() << "\n";
  } else {
    std::cout << V1PlanText(report);
  }
  return report.blocked() ? kBlocked : kOk;
}

}  // namespace

void AddRolloutCommands(CLI::App& app, int* exit_code) {
  auto o = std::make_shared<Options>();
  CLI::App* rollout = app.add_subcommand("rollout", "Check the plan of a rollout; contacts nothing")
                          ->require_subcommand(1);
  CLI::App* check = rollout->add_subcommand(
      "v1-plan-check",
      "Which buckets do the v1 hosts really read, and is each read by just one of them or held by "
      "v2? exit 3 if not");
  check->footer(
      "Examples:\n"
      "  jetmon2 rollout v1-plan-check --file plan.csv\n"
      "  jetmon2 rollout v1-plan-check --file plan.csv --held 0-99 --held 200-299 --output=json\n\n"
      "The file is CSV, a row for each v1 host as its config has them (- is standard input):\n"
      "  host,bucket_min,bucket_max,batch_size\n"
      "  v1-a,0,255,32\n"
      "  v1-b,256,511,32\n\n"
      "Exit codes: 0 each bucket has one reader, 2 usage or a row that can't be read, 3 one is\n"
      "read by two, by none, or by v1 while v2 holds it");
  check->add_option("--file", o->file, "the v1 hosts; - is standard input")->required();
  check->add_option("--bucket-total", o->bucket_total, "how many buckets there are")
      ->check(CLI::Range(1, 65536));
  check->add_option("--held", o->held,
                    "MIN-MAX: a range that v2 holds, see: jetmon2 api rollout status; repeatable");
  check->add_option("--output", o->output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  check->callback([=] { *exit_code = CheckV1Plan(*o); });
}

}  // namespace jetmon::cli

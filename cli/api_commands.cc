#include "cli/api_commands.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/canary_file.h"
#include "cli/comparison_csv.h"
#include "cli/guided.h"
#include "cli/terminal.h"

namespace jetmon::cli {
namespace {

// A flag of an API command and the field that it fills: --bucket-min fills bucket_min.
// kFile and kForce are not sent.
enum class Kind { kText, kList, kNumber, kSwitch, kOverrides, kCanaries, kFile, kForce };
struct Flag {
  const char* name;
  Kind kind;
  const char* help;
};

constexpr Flag kFlags[] = {
    {"bucket-min", Kind::kNumber, "first bucket of the range"},
    {"bucket-max", Kind::kNumber, "last bucket of the range, inclusive"},
    {"run-id", Kind::kText, "the run (rol_...)"},
    {"owner-host", Kind::kText, "the Monitor host"},
    {"change-ref", Kind::kText, "your change ticket"},
    {"dry-run", Kind::kSwitch, "plan only; answers with a confirmation token"},
    {"execute", Kind::kSwitch, "do it; needs --confirm"},
    {"confirm", Kind::kText, "the confirmation token (jmr_...) of the plan"},
    {"wait", Kind::kText, "how long the answer may wait for the job: 0s to 60s"},
    {"since", Kind::kText, "a duration such as 15m, or an RFC 3339 time"},
    {"read-only", Kind::kSwitch, "required: smoke writes nothing"},
    {"mode", Kind::kText, ""},
    {"method", Kind::kText, "HEAD or GET; of a stage"},
    {"profile", Kind::kText, "legacy or simple_http; of a stage"},
    {"size", Kind::kText,
     "of a stage: how many sites in all, earlier stages included; a count, or a percentage as 5%"},
    {"sample-size", Kind::kText, "how many sites; default 100"},
    {"canaries", Kind::kCanaries, "file of canaries, a JSON array; each mismatch blocks"},
    {"from", Kind::kText, "the mode to compare, such as head-legacy"},
    {"to", Kind::kText, "the mode to compare it with, such as get-simple"},
    {"comparison-class", Kind::kText, "same, get_better, get_worse or different_failure"},
    {"csv", Kind::kFile, "write all rows to this file, RFC 4180; waits for the job"},
    {"force", Kind::kForce, "write over the file of --csv"},
    {"kind", Kind::kText, "what happened: v1_stopped, v1_started, or a word of your own"},
    {"note", Kind::kText, "a note to keep with it"},
    {"state", Kind::kText, "only those in this state"},
    {"reason", Kind::kText, "why"},
    {"decision", Kind::kText, "told: people heard of it; untold: nobody did, and v1 shall tell it"},
    {"notification-ids", Kind::kList, "which (ntf_...), by commas, up to 200"},
    {"all", Kind::kSwitch, "all that are being sent in these buckets"},
    {"page-size", Kind::kNumber, "rows a page, 1 to 200"},
    {"page-token", Kind::kText, "next_page_token of the page before"},
    {"override", Kind::kOverrides, "CODE=REASON: let a named blocker pass; repeatable"},
};

struct Command {
  const char* name;  // below `api`, with its groups: "rollout sessions create"
  const char* method;
  const char* path;   // {run_id}, {job_id} are taken from positional arguments
  const char* flags;  // names from kFlags, by spaces
  bool mutating;
  const char* help;
  const char* example;
  bool needs_run = false;  // {run_id} comes from --run-id
  // What --mode takes here.
  const char* modes = "";
};

constexpr Command kCommands[] = {
    {"health", "GET", "/api/v1/health", "", false, "Is the control plane up?",
     "jetmon2 api health"},
    {"me", "GET", "/api/v1/me", "", false, "Which key is this?", "jetmon2 api me"},
    {"rollout capabilities", "GET", "/api/v1/rollout/capabilities", "", false,
     "What this control plane can do", "jetmon2 api rollout capabilities"},
    {"rollout status", "GET", "/api/v1/rollout/status", "", false,
     "Ranges, open sessions, Monitors", "jetmon2 api rollout status --output=table"},
    {"rollout sessions create", "POST", "/api/v1/rollout/sessions",
     "bucket-min bucket-max owner-host change-ref", true, "Open a session",
     "jetmon2 api rollout sessions create --bucket-min 0 --bucket-max 99 --owner-host monitor-a"},
    {"rollout sessions list", "GET", "/api/v1/rollout/sessions", "state page-size page-token",
     false, "List sessions, newest first", "jetmon2 api rollout sessions list --state open"},
    {"rollout sessions get", "GET", "/api/v1/rollout/sessions/{run_id}", "", false,
     "Show a session", "jetmon2 api rollout sessions get rol_..."},
    {"rollout sessions close", "POST", "/api/v1/rollout/sessions/{run_id}:close", "reason", true,
     "Close a session", "jetmon2 api rollout sessions close rol_... --reason done"},
    {"rollout sessions timeline", "GET", "/api/v1/rollout/sessions/{run_id}/timeline",
     "page-size page-token", false,
     "A run's whole story, in order; one page of it with --page-size",
     "jetmon2 api rollout sessions timeline rol_... --output=table"},
    {"rollout checkpoint", "POST", "/api/v1/rollout/sessions/{run_id}/checkpoints",
     "run-id kind note bucket-min bucket-max", true,
     "Record what you did outside, such as v1_stopped; of all of the run's buckets, or of those "
     "named",
     "jetmon2 api rollout checkpoint --run-id rol_... --kind v1_started", true},
    {"rollout preflight", "POST", "/api/v1/rollout/preflight",
     "bucket-min bucket-max run-id owner-host canaries override", true,
     "Could this range be handed over now?",
     "jetmon2 api rollout preflight --run-id rol_... --bucket-min 0 --bucket-max 99 "
     "--owner-host monitor-a --canaries canaries.json"},
    {"rollout smoke", "POST", "/api/v1/rollout/smoke",
     "bucket-min bucket-max run-id owner-host read-only mode sample-size canaries wait", true,
     "Probe a sample of sites, read-only",
     "jetmon2 api rollout smoke --run-id rol_... --bucket-min 0 --bucket-max 99 --read-only\n  "
     "jetmon2 api rollout smoke --run-id rol_... --bucket-min 0 --bucket-max 99 --read-only "
     "--mode get-simple --sample-size 10000 --canaries canaries.json",
     false, "head-legacy, head-simple, get-legacy, get-simple"},
    {"rollout compare-methods", "POST", "/api/v1/rollout/compare-methods",
     "bucket-min bucket-max run-id from to sample-size wait csv force", true,
     "Probe a sample of sites with two modes, read-only",
     "jetmon2 api rollout compare-methods --run-id rol_... --bucket-min 0 --bucket-max 99 --from "
     "head-legacy --to get-simple\n  jetmon2 api rollout compare-methods --run-id rol_... "
     "--bucket-min 0 --bucket-max 99 --from head-legacy --to get-simple --sample-size 5000 --csv "
     "rows.csv"},
    {"rollout seed", "POST", "/api/v1/rollout/seed",
     "bucket-min bucket-max run-id owner-host dry-run execute confirm wait", true,
     "Write v2's tables for a range and adopt v1's incidents",
     "jetmon2 api rollout seed --run-id rol_... --bucket-min 0 --bucket-max 99 --dry-run"},
    {"rollout final-reconcile", "POST", "/api/v1/rollout/final-reconcile",
     "bucket-min bucket-max run-id owner-host dry-run execute confirm wait", true,
     "The same after v1 has stopped",
     "jetmon2 api rollout final-reconcile --run-id rol_... --bucket-min 0 --bucket-max 99 "
     "--dry-run"},
    {"rollout activate-buckets", "POST", "/api/v1/rollout/activate-buckets",
     "bucket-min bucket-max run-id owner-host dry-run execute confirm wait override", true,
     "Give a range to a Monitor host",
     "jetmon2 api rollout activate-buckets --run-id rol_... --bucket-min 0 --bucket-max 99 "
     "--owner-host monitor-a --dry-run"},
    {"rollout release-buckets", "POST", "/api/v1/rollout/release-buckets",
     "bucket-min bucket-max run-id owner-host dry-run execute confirm wait", true,
     "Give a range back to v1, or a part from either end of it",
     "jetmon2 api rollout release-buckets --run-id rol_... --bucket-min 0 --bucket-max 99 "
     "--dry-run"},
    {"rollout stage-policy", "POST", "/api/v1/rollout/stage-policy",
     "bucket-min bucket-max run-id mode method profile size dry-run execute confirm wait", true,
     "Change how a part of the sites is checked, or take that back",
     "jetmon2 api rollout stage-policy --run-id rol_... --bucket-min 0 --bucket-max 99 "
     "--mode stage --method GET --profile legacy --size 5% --dry-run",
     false, "stage, pause, rollback-last-stage, rollback-all"},
    {"rollout bucket-coverage", "GET", "/api/v1/rollout/bucket-coverage",
     "bucket-min bucket-max owner-host run-id", false, "Gate: is every bucket active?",
     "jetmon2 api rollout bucket-coverage --bucket-min 0 --bucket-max 99"},
    {"rollout activity-check", "GET", "/api/v1/rollout/activity-check",
     "bucket-min bucket-max owner-host run-id since", false, "Gate: is every site checked in time?",
     "jetmon2 api rollout activity-check --bucket-min 0 --bucket-max 99 --since 15m"},
    {"rollout projection-drift", "GET", "/api/v1/rollout/projection-drift",
     "bucket-min bucket-max run-id since", false, "Gate: does the legacy table agree?",
     "jetmon2 api rollout projection-drift --bucket-min 0 --bucket-max 99"},
    {"rollout notifications list", "GET", "/api/v1/rollout/notifications",
     "bucket-min bucket-max state page-size page-token", false,
     "Notifications of a range in one state; default: those being sent",
     "jetmon2 api rollout notifications list --bucket-min 0 --bucket-max 99 --output=table"},
    {"rollout notifications decide", "POST", "/api/v1/rollout/notifications:decide",
     "bucket-min bucket-max run-id decision notification-ids all note", true,
     "Say what came of notifications that a release waits for (notifications_undecided)",
     "jetmon2 api rollout notifications decide --run-id rol_... --bucket-min 0 --bucket-max 99 "
     "--decision told --notification-ids ntf_12_down,ntf_15_up --note 'seen in its log'\n  "
     "jetmon2 api rollout notifications decide --run-id rol_... --bucket-min 0 --bucket-max 99 "
     "--decision untold --all --note 'the receiver was down all night'"},
    {"rollout jobs list", "GET", "/api/v1/rollout/jobs", "run-id state page-size page-token", false,
     "List jobs, newest first", "jetmon2 api rollout jobs list --run-id rol_..."},
    {"rollout jobs get", "GET", "/api/v1/rollout/jobs/{job_id}", "", false, "Show a job",
     "jetmon2 api rollout jobs get rjob_..."},
    {"rollout jobs cancel", "POST", "/api/v1/rollout/jobs/{job_id}:cancel", "", true,
     "Cancel a job", "jetmon2 api rollout jobs cancel rjob_..."},
    {"rollout jobs watch", "GET", "/api/v1/rollout/jobs/{job_id}:watch", "", false,
     "Follow a job to its end, a line a change", "jetmon2 api rollout jobs watch rjob_..."},
    {"rollout jobs comparison-results", "GET", "/api/v1/rollout/jobs/{job_id}/comparison-results",
     "comparison-class page-size page-token csv force", false, "Rows of a comparison, by site",
     "jetmon2 api rollout jobs comparison-results rjob_... --comparison-class get_worse\n  "
     "jetmon2 api rollout jobs comparison-results rjob_... --csv rows.csv"},
    {"verifliers vantages list", "GET", "/api/v1/verifliers/vantages", "page-size page-token",
     false, "List vantages", "jetmon2 api verifliers vantages list --output=table"},
    {"verifliers agents", "GET", "/api/v1/verifliers/agents", "page-size page-token", false,
     "List Veriflier agents", "jetmon2 api verifliers agents --output=table"},
};

// The values of one command's flags, alive as long as the application.
struct Values {
  std::map<std::string, std::string> text;
  std::map<std::string, bool> switches;
  std::vector<std::string> overrides;
  std::string positional;
  std::string idempotency_key;
};

std::string FieldOf(const std::string& flag) { return absl::StrReplaceAll(flag, {{"-", "_"}}); }

const Flag& FlagNamed(const std::string& name) {
  for (const Flag& f : kFlags) {
    if (name == f.name) return f;
  }
  std::abort();  // a table above names a flag that does not exist
}

// Adds the options that every API command takes, so that they may stand after the subcommand.
void AddConnectionOptions(CLI::App* c, ApiOptions* options) {
  c->add_option("--base-url", options->connection.base_url,
                "where the control plane answers REST (JETMON_API_URL)");
  c->add_option("--token-file", options->token_file,
                "file with the API key, mode 0600 (or JETMON_API_TOKEN)");
  c->add_flag("--allow-remote", options->connection.allow_remote,
              "allow changes on another machine");
  c->add_option("--timeout", options->connection.timeout_s, "seconds for one call, 1 to 600")
      ->check(CLI::Range(1, 600));
  c->add_option("--ca-file", options->connection.ca_file, "trust this CA for https");
  c->add_option("--output", options->output, "json or table")
      ->check(CLI::IsMember({"json", "table"}));
  c->add_flag("--pretty", options->pretty, "indent JSON");
}

CLI::App* Group(CLI::App* parent, const std::string& name, const char* help) {
  for (CLI::App* c : parent->get_subcommands([&](CLI::App* s) { return s->get_name() == name; })) {
    return c;
  }
  return parent->add_subcommand(name, help)->require_subcommand(1);
}

absl::StatusOr<Json> OverridesOf(const std::vector<std::string>& words) {
  Json list;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError("--override takes CODE=REASON, not '" + word + "'");
    }
    Json one;
    one.Set("code", word.substr(0, equals)).Set("reason", word.substr(equals + 1));
    list.Append(one);
  }
  return list;
}

// "a,b" as a list of texts.
Json ListOf(const std::string& text) {
  Json list;
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    google::protobuf::Value value;
    value.set_string_value(std::string(absl::StripAsciiWhitespace(word)));
    list.Append(Json(std::move(value)));
  }
  return list;
}

// "" if it is one, else what is wrong with it.
std::string WholeNumber(const std::string& text) {
  const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  return digits && !text.empty() && text.size() <= 9
             ? ""
             : absl::StrCat("takes a whole number, 0 or more, not '", text.substr(0, 32), "'");
}

// The body, or for GET the query, that the flags given spell.
absl::Status FillRequest(const Command& command, const Values& values, Request* request) {
  Json body = *Json::Parse("{}");
  for (absl::string_view word : absl::StrSplit(command.flags, ' ', absl::SkipEmpty())) {
    const std::string name(word), field = FieldOf(name);
    const Flag& flag = FlagNamed(name);
    if (command.needs_run && name == "run-id") continue;
    if (flag.kind == Kind::kSwitch) {
      if (values.switches.at(name)) body.Set(field, true);
      continue;
    }
    if (flag.kind == Kind::kOverrides) {
      if (values.overrides.empty()) continue;
      auto list = OverridesOf(values.overrides);
      if (!list.ok()) return list.status();
      body.Set(field, *list);
      continue;
    }
    if (flag.kind == Kind::kFile || flag.kind == Kind::kForce) continue;
    const std::string& text = values.text.at(name);
    if (text.empty()) continue;
    if (flag.kind == Kind::kCanaries) {
      auto list = ReadCanaries(text);
      if (!list.ok()) return list.status();
      body.Set(field, *list);
    } else if (request->method == "GET") {
      request->query.emplace_back(field, text);
    } else if (flag.kind == Kind::kList) {
      body.Set(field, ListOf(text));
    } else if (flag.kind == Kind::kNumber) {
      body.Set(field, std::stod(text));
    } else {
      body.Set(field, text);
    }
  }
  if (request->method != "GET") request->body = body.Dump();
  return absl::OkStatus();
}

int RunCommand(const Command& command, const Values& values, ApiOptions* options) {
  Request request;
  request.method = command.method;
  request.mutating = command.mutating;
  request.idempotency_key = values.idempotency_key;
  const std::string id = command.needs_run ? values.text.at("run-id") : values.positional;
  request.path = absl::StrReplaceAll(command.path, {{"{run_id}", id}, {"{job_id}", id}});
  absl::Status status = SettleConnection(options);
  if (status.ok()) status = FillRequest(command, values, &request);
  if (!status.ok()) {
    std::cerr << "jetmon2: " << status.message() << "\n";
    return kUsage;
  }
  if (absl::EndsWith(command.path, ":watch")) return StreamAndPrint(*options, request);
  if (const auto csv = values.text.find("csv"); csv != values.text.end() && !csv->second.empty()) {
    const bool force = values.switches.at("force");
    return request.mutating ? CompareToCsv(*options, request, csv->second, force)
                            : ResultsToCsv(*options, request, csv->second, force);
  }
  if (absl::EndsWith(command.path, "/timeline") && request.query.empty()) {
    request.query.emplace_back("page_size", "200");
    return SendAllAndPrint(*options, request, "entries");
  }
  return SendAndPrint(*options, request);
}

void AddCommand(CLI::App* api, const Command& command, ApiOptions* options, int* exit_code) {
  std::vector<std::string> words = absl::StrSplit(command.name, ' ');
  CLI::App* parent = api;
  for (size_t i = 0; i + 1 < words.size(); ++i) parent = Group(parent, words[i], "");
  CLI::App* c = parent->add_subcommand(words.back(), command.help);
  c->footer(absl::StrCat("Example:\n  ", command.example));
  auto values = std::make_shared<Values>();
  AddConnectionOptions(c, options);
  for (absl::string_view word : absl::StrSplit(command.flags, ' ', absl::SkipEmpty())) {
    const std::string name(word);
    const Flag& flag = FlagNamed(name);
    const std::string help = name == "mode" ? command.modes : flag.help;
    CLI::Option* option = nullptr;
    if (flag.kind == Kind::kSwitch || flag.kind == Kind::kForce) {
      option = c->add_flag("--" + name, values->switches[name], help);
    } else if (flag.kind == Kind::kOverrides) {
      option = c->add_option("--" + name, values->overrides, help);
    } else {
      option = c->add_option("--" + name, values->text[name], help);
      if (flag.kind == Kind::kNumber) option->type_name("N")->check(WholeNumber);
    }
    if (flag.kind == Kind::kForce) option->needs("--csv");
    if (command.needs_run && name == "run-id") option->required();
  }
  if (command.mutating) {
    c->add_option("--idempotency-key", values->idempotency_key,
                  "repeat safely: the same key is executed once");
  }
  if (!command.needs_run && absl::StrContains(command.path, "{")) {
    const bool job = absl::StrContains(command.path, "{job_id}");
    c->add_option(job ? "job_id" : "run_id", values->positional, job ? "the job" : "the run")
        ->required()
        ->check([](const std::string& id) {
          return id.find_first_not_of(
                     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789_-") == std::string::npos
                     ? ""
                     : "an id has letters, digits, _ and - only";
        });
  }
  c->callback([&command, values, options, exit_code] {
    *exit_code = RunCommand(command, *values, options);
  });
}

absl::Status ReadCanariesOf(GuidedOptions* g) {
  if (g->canaries_file.empty()) return absl::OkStatus();
  auto canaries = ReadCanaries(g->canaries_file);
  if (canaries.ok()) g->canaries = *canaries;
  return canaries.status();
}

void AddGuided(CLI::App* rollout, ApiOptions* options, int* exit_code) {
  CLI::App* c = rollout->add_subcommand(
      "guided", "Move a range from v1 to a v2 Monitor step by step, or back with --rollback");
  c->footer(
      "Example:\n  jetmon2 api rollout guided --bucket-min 0 --bucket-max 99 --owner-host "
      "monitor-a\n  jetmon2 api rollout guided --bucket-min 0 --bucket-max 99 --owner-host "
      "monitor-a --canaries canaries.json --include-comparison\n  jetmon2 api rollout guided "
      "--rollback --bucket-min 0 --bucket-max 99\n"
      "A rollback takes a whole held range, or a part from either end of it.");
  auto g = std::make_shared<GuidedOptions>();
  AddConnectionOptions(c, options);
  c->add_option("--bucket-min", g->bucket_min, "first bucket")->required();
  c->add_option("--bucket-max", g->bucket_max, "last bucket, inclusive")->required();
  c->add_option("--owner-host", g->owner_host, "the Monitor host; required forward");
  c->add_option("--change-ref", g->change_ref, "your change ticket");
  c->add_option(
      "--run-id", g->run_id,
      "go on in this open session; back: the run that holds the range, found if not given");
  c->add_flag("--rollback", g->rollback, "give the range, or a part of one, back to v1");
  c->add_flag("--dry-run", g->dry_run, "print the steps; contact nothing");
  c->add_flag("--resume", g->resume, "go on where it stopped");
  c->add_option("--log-dir", g->log_dir, "folder of transcript and resume state");
  c->add_option("--confirm-file", g->confirm_file,
                "for rehearsals: one typed line a prompt, from a file or FIFO");
  c->add_option("--smoke-mode", g->smoke_mode, "how smoke probes");
  c->add_option("--smoke-sample-size", g->smoke_sample_size, "how many sites smoke probes");
  c->add_option("--canaries", g->canaries_file, "file of canaries for preflight and smoke");
  c->add_flag("--include-comparison", g->include_comparison,
              "after smoke, compare head-legacy with get-simple on the same sample");
  c->callback([g, options, exit_code] {
    if (const absl::Status s = SettleConnection(options); !s.ok()) {
      std::cerr << "jetmon2: " << s.message() << "\n";
      *exit_code = kUsage;
    } else if (g->bucket_min > g->bucket_max) {
      std::cerr << "jetmon2: --bucket-min is above --bucket-max\n";
      *exit_code = kUsage;
    } else if (!g->rollback && g->owner_host.empty()) {
      std::cerr << "jetmon2: --owner-host is required; which Monitor shall own the range?\n";
      *exit_code = kUsage;
    } else if (const absl::Status s = ReadCanariesOf(g.get()); !s.ok()) {
      std::cerr << "jetmon2: " << s.message() << "\n";
      *exit_code = kUsage;
    } else {
      *exit_code = Guided(*g, options->connection).Run();
    }
  });
}

void AddRaw(CLI::App* api, ApiOptions* options, int* exit_code) {
  CLI::App* c = api->add_subcommand("request", "Send any request");
  c->footer("Example:\n  jetmon2 api request GET /api/v1/fleet");
  AddConnectionOptions(c, options);
  struct Raw {
    std::string method, path, body_file, idempotency_key;
  };
  auto raw = std::make_shared<Raw>();
  c->add_option("method", raw->method, "GET, POST, PUT or DELETE")
      ->required()
      ->check(CLI::IsMember({"GET", "POST", "PUT", "DELETE"}));
  c->add_option("path", raw->path, "beginning with /")->required();
  c->add_option("--body", raw->body_file, "file with the JSON body, - for standard input");
  c->add_option("--idempotency-key", raw->idempotency_key, "repeat safely");
  c->callback([raw, options, exit_code] {
    Request request;
    request.method = raw->method;
    request.path = raw->path;
    request.mutating = raw->method != "GET";
    request.idempotency_key = raw->idempotency_key;
    absl::Status s = SettleConnection(options);
    if (s.ok() && !raw->body_file.empty()) {
      auto body = ReadSmallFile(raw->body_file == "-" ? "/dev/stdin" : raw->body_file);
      s = body.status();
      if (body.ok()) request.body = *body;
    }
    if (!s.ok()) {
      std::cerr << "jetmon2: " << s.message() << "\n";
      *exit_code = kUsage;
      return;
    }
    *exit_code = SendAndPrint(*options, request);
  });
  CLI::App* list = api->add_subcommand("commands", "List every API command");
  list->footer("Example:\n  jetmon2 api commands");
  list->callback([] {
    for (const Command& command : kCommands) {
      std::cout << "api " << command.name << "  " << command.method << " " << command.path << "\n";
    }
    std::cout << "api rollout guided\napi request METHOD PATH\n";
  });
}

}  // namespace

void AddApiCommands(CLI::App& app, ApiOptions* options, int* exit_code) {
  CLI::App* api = app.add_subcommand("api", "Talk to a control plane")->require_subcommand(1);
  for (const Command& command : kCommands) AddCommand(api, command, options, exit_code);
  AddGuided(Group(api, "rollout", ""), options, exit_code);
  AddRaw(api, options, exit_code);
}

}  // namespace jetmon::cli

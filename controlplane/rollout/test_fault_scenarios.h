#ifndef JETMON_CONTROLPLANE_ROLLOUT_TEST_FAULT_SCENARIOS_H_
#define JETMON_CONTROLPLANE_ROLLOUT_TEST_FAULT_SCENARIOS_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/rollout/test_fault_world.h"

namespace jetmon::rollout {

// One operation in one situation, for fault_points_test. To add one, write an entry in
// test_fault_scenarios.cc: what was before, the request as an operator makes it, and the commits
// that it passes (the test compares them with those that it saw, so that none is forgotten). The
// request must be one that may be made again after a crash: FaultWorld's Once and Carry are.
struct FaultScenario {
  std::string name;  // [a-z_]+
  // Commits of commits.h that the request passes, in any order; the process is killed at each of
  // them, before and after, at every place where it comes.
  std::vector<std::string_view> commits;
  // In a process of its own, with a running control plane.
  std::function<void(FaultWorld&)> before = [](FaultWorld&) {};
  // In every later process, before the control plane starts: what the Monitor does, and options.
  std::function<void(FaultWorld&)> around = [](FaultWorld& w) { w.monitor().Run(); };
  // With a running control plane, but for the scenario `starts`, whose request starts it.
  std::function<absl::Status(FaultWorld&)> request;
  bool starts = false;
  // How lines of FinalState begin that a crash may leave otherwise than an undisturbed run does.
  std::vector<std::string> may_leave;
};

const std::vector<FaultScenario>& FaultScenarios();

}  // namespace jetmon::rollout

#endif  // JETMON_CONTROLPLANE_ROLLOUT_TEST_FAULT_SCENARIOS_H_

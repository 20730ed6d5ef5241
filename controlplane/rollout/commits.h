#ifndef JETMON_CONTROLPLANE_ROLLOUT_COMMITS_H_
#define JETMON_CONTROLPLANE_ROLLOUT_COMMITS_H_

#include <string_view>

// Every transaction that the rollout domain commits has a name, so that a test can kill the process
// right before and right after each one (Parts::at_commit), and see that none was left out.
namespace jetmon::rollout::commits {

// Of the service's own calls.
inline constexpr std::string_view kEnsureBuckets = "ensure_buckets";
inline constexpr std::string_view kCreateSession = "create_session";
inline constexpr std::string_view kCloseSession = "close_session";
inline constexpr std::string_view kRecordCheckpoint = "record_checkpoint";
inline constexpr std::string_view kBeginPreflight = "begin_preflight";
inline constexpr std::string_view kRecordPreflight = "record_preflight";
inline constexpr std::string_view kQueueJob = "queue_job";
inline constexpr std::string_view kRequestCancel = "request_cancel";
inline constexpr std::string_view kMakeToken = "make_token";
inline constexpr std::string_view kExecute = "execute";
inline constexpr std::string_view kDecide = "decide_notifications";
// Of the runner, for any job.
inline constexpr std::string_view kClaimJob = "claim_job";
inline constexpr std::string_view kYieldJob = "yield_job";
inline constexpr std::string_view kFinishJob = "finish_job";
inline constexpr std::string_view kSweep = "sweep";
// Of the jobs.
inline constexpr std::string_view kShowLife = "show_life";
inline constexpr std::string_view kCompareBatch = "compare_batch";
inline constexpr std::string_view kSeedBatch = "seed_batch";
inline constexpr std::string_view kPolicyBatch = "policy_batch";
inline constexpr std::string_view kPolicyRollback = "policy_rollback";
inline constexpr std::string_view kActivateLook = "activate_look";
inline constexpr std::string_view kBeginActivating = "begin_activating";
inline constexpr std::string_view kGiveUp = "give_up";
inline constexpr std::string_view kCancelTells = "cancel_tells";
inline constexpr std::string_view kEndMute = "end_mute";
inline constexpr std::string_view kShowUndecided = "show_undecided";
inline constexpr std::string_view kReleaseLook = "release_look";
inline constexpr std::string_view kProject = "project";
inline constexpr std::string_view kRevoke = "revoke";
inline constexpr std::string_view kFree = "free";
inline constexpr std::string_view kRevokePart = "revoke_part";
inline constexpr std::string_view kFreePart = "free_part";

inline constexpr std::string_view kAll[] = {
    kEnsureBuckets,    kCreateSession,  kCloseSession,
    kRecordCheckpoint, kBeginPreflight, kRecordPreflight,
    kQueueJob,         kRequestCancel,  kMakeToken,
    kExecute,          kClaimJob,       kYieldJob,
    kFinishJob,        kSweep,          kShowLife,
    kCompareBatch,     kSeedBatch,      kPolicyBatch,
    kPolicyRollback,   kActivateLook,   kBeginActivating,
    kGiveUp,           kReleaseLook,    kProject,
    kRevoke,           kFree,           kRevokePart,
    kFreePart,         kCancelTells,    kEndMute,
    kShowUndecided,    kDecide,
};

}  // namespace jetmon::rollout::commits

#endif  // JETMON_CONTROLPLANE_ROLLOUT_COMMITS_H_

#include "controlplane/rollout/commits.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "controlplane/rollout/options.h"

namespace jetmon::rollout {
namespace {

bool IsNamed(std::string_view name) {
  return std::find(std::begin(commits::kAll), std::end(commits::kAll), name) !=
         std::end(commits::kAll);
}

}  // namespace

absl::Status Parts::Commit(std::string_view name, const sql::Body& body) const {
  return Commit(name, clock->Boot() + sql::kDefaultTransactionLimit, body);
}

absl::Status Parts::Commit(std::string_view name, BootTime deadline, const sql::Body& body) const {
  return CommitBy(
      name, [&](const sql::Body& b) { return db->Write(deadline, b); }, body);
}

absl::Status Parts::Commit(std::string_view name, sql::Session& session, BootTime deadline,
                           const sql::Body& body) const {
  return CommitBy(
      name, [&](const sql::Body& b) { return session.Write(deadline, b); }, body);
}

absl::Status Parts::CommitBy(std::string_view name, const Writer& write,
                             const sql::Body& body) const {
  if (!IsNamed(name))
    return absl::InternalError(absl::StrCat("a commit without a name: ", std::string(name)));
  if (!at_commit) return write(body);
  const absl::Status s = write([&](sql::Transaction& tx) {
    const absl::Status done = body(tx);
    if (done.ok()) at_commit(name, /*committed=*/false);
    return done;
  });
  if (s.ok()) at_commit(name, /*committed=*/true);
  return s;
}

}  // namespace jetmon::rollout

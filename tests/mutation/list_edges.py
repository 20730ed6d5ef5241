"""Mutations of what guards the edges: keys, limits, audit, idempotency, probes, confirmation."""
from weave import Mutation, insert, sql, swap  # noqa: F401

AUTHENTICATOR = "controlplane/access/authenticator.cc"
IDEMPOTENCY = "controlplane/access/idempotency.cc"
LIMITER = "controlplane/access/rate_limiter.cc"
CHAIN = "controlplane/rpc/chain.cc"
SAFETY = "probe/target_safety.cc"
CHECK = "probe/running_check.cc"
HOP = "probe/running_check_hop.cc"
REACTOR = "probe/reactor.cc"
AUTHENTICATOR_TESTS = ["//controlplane/access:authenticator_test"]
IDEMPOTENCY_TESTS = ["//controlplane/access:idempotency_test"]
CHAIN_TESTS = ["//controlplane/rpc:chain_test"]
SAFETY_TESTS = ["//probe:target_safety_test"]
LEASE_TESTS = ["//probe:engine_lease_test"]
SERVICE_TESTS = ["//veriflier:service_test", "//veriflier:service_deadlines_test"]

MUTATIONS = [
    # Keys and scopes.
    Mutation("key-is-never-revoked", "a revoked key is accepted",
             [swap(AUTHENTICATOR, "now >= k.revoked_at_ms", "false")], AUTHENTICATOR_TESTS),
    Mutation("key-never-expires", "an expired key is accepted",
             [swap(AUTHENTICATOR, "now >= k.expires_at_ms", "false")], AUTHENTICATOR_TESTS),
    Mutation("key-is-kept-for-ever", "a key that was revoked is remembered as good",
             [swap(AUTHENTICATOR, "clock_.Boot() < it->second->until", "true")], AUTHENTICATOR_TESTS),
    Mutation("scope-is-not-compared", "a key that may read writes",
             [swap(AUTHENTICATOR, "caller.scope >= needed", "true")], AUTHENTICATOR_TESTS),
    Mutation("vantage-is-above-admin", "a key of an unknown scope may do everything",
             [swap(AUTHENTICATOR, "caller.scope != Scope::kVantage", "true")], AUTHENTICATOR_TESTS),
    Mutation("scope-is-not-asked", "a call is let through whatever its key may",
             [swap(CHAIN, "access::CheckScope(caller_, method_.scope)", "absl::OkStatus()")], CHAIN_TESTS),
    # Limits, audit.
    Mutation("rate-is-not-limited", "a key sends as much as it likes",
             [swap(LIMITER, "bucket.tokens >= 1", "true")], ["//controlplane/access:rate_limiter_test"]),
    Mutation("burst-is-not-limited", "a key that was silent for long sends all that at once",
             [swap(LIMITER, "std::min<double>(limits_.burst, bucket.tokens + passed * "
                            "limits_.per_second)", "bucket.tokens + passed * limits_.per_second")],
             ["//controlplane/access:rate_limiter_test"]),
    Mutation("limit-is-not-heeded", "a call that is above its key's rate is served",
             [swap(CHAIN, "decision.allowed", "true", within="if (decision.allowed)")], CHAIN_TESTS),
    Mutation("audit-is-left-out", "a change stands in no audit row",
             [swap(CHAIN, "!method_.mutating", "true", within="if (!method_.mutating) return;")],
             CHAIN_TESTS),
    Mutation("audit-of-successes-only", "a refused change stands in no audit row",
             [swap(CHAIN, "!method_.mutating", "!method_.mutating || !status.ok()",
                   within="if (!method_.mutating) return;")], CHAIN_TESTS),
    # Idempotency.
    Mutation("request-is-not-compared", "another request gets the answer of the first",
             [swap(IDEMPOTENCY, "found->request_hash != request_hash", "false",
                   within="found->request_hash != request_hash) {")], IDEMPOTENCY_TESTS),
    Mutation("running-request-is-taken-by-another", "another request takes over a record that lapsed",
             [swap(IDEMPOTENCY, "found->operation != operation || found->request_hash != request_hash",
                   "false", within="found->operation != operation || found->request_hash != request_hash "
                                   "|| found->state != kRunning")], IDEMPOTENCY_TESTS),
    Mutation("request-is-taken-over-at-once", "a request runs twice at a time",
             [swap(IDEMPOTENCY, "SeenFor(id, found->attempt) < kLease", "false")], IDEMPOTENCY_TESTS),
    Mutation("request-that-was-taken-over-commits", "two runs of one request both commit",
             [swap(IDEMPOTENCY, "*done", "true", within="if (*done) return absl::OkStatus();")],
             IDEMPOTENCY_TESTS),
    # Target safety.
    Mutation("private-addresses-pass", "a site leads into the operator's network",
             [swap(SAFETY, '"10.0.0.0/8"', '"10.255.255.255"')], SAFETY_TESTS),
    Mutation("metadata-passes", "a site leads to a cloud's metadata",
             [swap(SAFETY, '"168.63.129.16"', '"0.0.0.1"')], SAFETY_TESTS),
    Mutation("mapped-addresses-pass", "an IPv4 address is hidden in one of IPv6",
             [swap(SAFETY, '"64:ff9b::/96"', '"::2"'),
              swap(SAFETY, "!GlobalUnicast6().Contains(address)", "false")], SAFETY_TESTS),
    Mutation("userinfo-passes", "a URL carries credentials",
             [swap(SAFETY, "url.has_userinfo", "false")], SAFETY_TESTS),
    Mutation("local-names-pass", "a site names localhost",
             [swap(SAFETY, "options_.public_only && IsLocalName(url.host)", "false")], SAFETY_TESTS),
    Mutation("redirect-is-not-judged", "a site redirects into the operator's network",
             [swap(CHECK, "!JudgeUrl(around_->safety)", "false")], ["//probe:engine_test"]),
    Mutation("resolved-address-is-not-judged", "a site's name resolves into the operator's network",
             [swap(HOP, "safe.ok()", "true", within="if (safe.ok()) continue;")],
             ["//probe:engine_dns_test", "//probe:hostile_location_test"]),
    # The engine's lease.
    Mutation("connect-without-a-lease", "a Monitor connects when its lease has lapsed",
             [swap(HOP, "!MaySend()", "false", within="if (!MaySend()) return false;")], LEASE_TESTS),
    Mutation("send-without-a-lease", "a Monitor sends when its lease has lapsed",
             [swap(CHECK, "!check_.MaySend()", "false")], LEASE_TESTS),
    Mutation("wait-without-a-lease", "a check goes on when its lease has lapsed",
             [swap(CHECK, "request_.lease != nullptr && !request_.lease->MaySend(now)", "false")],
             LEASE_TESTS),
    Mutation("result-without-a-lease", "an answer counts that came after the lease",
             [swap(REACTOR, "!check->lease()->MaySend(now)", "false")], LEASE_TESTS),
    Mutation("pause-is-not-noticed", "what was seen before a pause counts after it",
             [swap(REACTOR, "now - loop_began > kPause", "false")], LEASE_TESTS),
    # Confirmation.
    Mutation("credential-by-its-beginning", "a piece of a credential is taken for all of it",
             [swap("confirm/credential.cc", "a.size() == b.size()", "a.size() <= b.size()")],
             ["//confirm:credential_test"]),
    Mutation("credential-is-not-compared", "a Veriflier checks for whoever asks",
             [swap("veriflier/service.cc", "!Authorised(context, credential_)", "false",
                   within="if (!Authorised(context, credential_)) return CheckStream")], SERVICE_TESTS),
    Mutation("status-without-a-credential", "a Veriflier tells whoever asks who it is",
             [swap("veriflier/service.cc", "!Authorised(context, credential_)", "false",
                   within="if (!Authorised(context, credential_)) {")], SERVICE_TESTS),
    Mutation("lost-check-is-down", "a Veriflier's own fault is a vote for an outage",
             [swap("veriflier/checker.cc", '"unknown"', '"down"', within='result.set_outcome("unknown")')], SERVICE_TESTS),
    Mutation("refused-check-is-down", "what target safety refuses is a vote for an outage",
             [swap("veriflier/checker.cc", '"probe_error"', '"down"',
                   within='case probe::Outcome::kSafety: result.set_outcome("probe_error");')],
             SERVICE_TESTS),
    Mutation("overloaded-is-an-answer", "an agent that is full keeps the next one from being asked",
             [swap("confirm/client.cc", 'a.outcome != "agent_overloaded"', "true")], SERVICE_TESTS),
    # Registration.
    Mutation("vantage-with-any-token", "a stranger takes an approved vantage's place",
             [swap("controlplane/discovery/registrar.cc", "(*vantage)->token_hash != token_hash",
                   "false")], ["//controlplane/discovery:registrar_test"]),
    Mutation("vantages-without-bound", "strangers fill the list of those that wait for approval",
             [swap("controlplane/discovery/registrar.cc",
                   "*pending >= options_.max_pending", "false")],
             ["//controlplane/discovery:registrar_test"]),
]

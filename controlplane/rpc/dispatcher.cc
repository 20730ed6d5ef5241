#include "controlplane/rpc/dispatcher.h"

#include <utility>
#include <vector>

namespace jetmon::rpc {

Dispatcher::Dispatcher(Sizes sizes)
    : unary_pool_(sizes.unary), stream_pool_(sizes.stream), refusal_pool_(sizes.refusals) {}

Dispatcher::~Dispatcher() {
  CancelAll();
  Stop();
}

void Dispatcher::Dispatch(Kind kind, std::shared_ptr<Cancellation> cancellation,
                          std::function<void()> run, std::function<void()> refuse,
                          std::function<void()> drop) {
  WorkerPool& pool = kind == Kind::kUnary ? unary_pool_ : stream_pool_;
  Track(kind, cancellation);
  if (pool.Submit([this, cancellation, run = std::move(run)] {
        run();
        Untrack(cancellation);
      })) {
    return;
  }
  Untrack(cancellation);
  if (!refusal_pool_.Submit(std::move(refuse))) drop();
}

void Dispatcher::Track(Kind kind, const std::shared_ptr<Cancellation>& cancellation) {
  bool cancel = false;
  {
    std::lock_guard lock(mu_);
    (kind == Kind::kUnary ? unary_ : streams_).insert(cancellation);
    cancel = cancel_all_ || (kind == Kind::kStream && cancel_streams_);
  }
  if (cancel) cancellation->Cancel();
}

void Dispatcher::Untrack(const std::shared_ptr<Cancellation>& cancellation) {
  std::lock_guard lock(mu_);
  unary_.erase(cancellation);
  streams_.erase(cancellation);
}

void Dispatcher::CancelStreams() {
  std::vector<std::shared_ptr<Cancellation>> to_cancel;
  {
    std::lock_guard lock(mu_);
    cancel_streams_ = true;
    to_cancel.assign(streams_.begin(), streams_.end());
  }
  for (const auto& cancellation : to_cancel) cancellation->Cancel();
}

void Dispatcher::CancelAll() {
  CancelStreams();
  std::vector<std::shared_ptr<Cancellation>> to_cancel;
  {
    std::lock_guard lock(mu_);
    cancel_all_ = true;
    to_cancel.assign(unary_.begin(), unary_.end());
  }
  for (const auto& cancellation : to_cancel) cancellation->Cancel();
}

void Dispatcher::Stop() {
  unary_pool_.Stop();
  stream_pool_.Stop();
  refusal_pool_.Stop();
}

}  // namespace jetmon::rpc

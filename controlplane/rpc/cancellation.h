#ifndef JETMON_CONTROLPLANE_RPC_CANCELLATION_H_
#define JETMON_CONTROLPLANE_RPC_CANCELLATION_H_

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>

namespace jetmon::rpc {

// Whether a call is still wanted: set once, by the transport (the caller went away) or by the
// server (it stops). Thread-safe.
class Cancellation {
 public:
  // A callback's registration; removing it waits for the callback if another thread runs it.
  class Subscription {
   public:
    Subscription() = default;
    Subscription(Subscription&& other) noexcept;
    Subscription& operator=(Subscription&& other) noexcept;
    ~Subscription();

   private:
    friend class Cancellation;
    struct Entry;
    Subscription(Cancellation* owner, std::shared_ptr<Entry> entry);
    void Release();
    Cancellation* owner_ = nullptr;
    std::shared_ptr<Entry> entry_;
  };

  void Cancel();
  bool cancelled() const;
  // `f` is called once, in the cancelling thread, or at once if that has happened. It must be quick
  // and must not end its own subscription. This object must outlive the subscription.
  [[nodiscard]] Subscription OnCancel(std::function<void()> f);

 private:
  mutable std::mutex mu_;
  std::condition_variable changed_;  // a callback has run
  bool cancelled_ = false;
  std::list<std::shared_ptr<Subscription::Entry>> entries_;
};

}  // namespace jetmon::rpc

#endif  // JETMON_CONTROLPLANE_RPC_CANCELLATION_H_

#ifndef JETMON_PROBE_LRU_H_
#define JETMON_PROBE_LRU_H_

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace jetmon::probe {

// Values by name, at most `most` of them: a new one pushes out the one not used for longest. Not
// thread-safe.
template <typename Value>
class Lru {
 public:
  explicit Lru(size_t most) : most_(most) {}
  Lru(const Lru&) = delete;
  Lru& operator=(const Lru&) = delete;

  void Put(std::string_view name, Value value) {
    if (most_ == 0) return;
    if (Value* old = Find(name); old != nullptr) {
      *old = std::move(value);
      return;
    }
    if (entries_.size() >= most_) Drop(entries_.back().first);
    entries_.emplace_front(std::string(name), std::move(value));
    by_name_[entries_.front().first] = entries_.begin();
  }

  // Null if it is not there; good until the next Put or Drop.
  Value* Find(std::string_view name) {
    const auto at = by_name_.find(name);
    if (at == by_name_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, at->second);
    return &at->second->second;
  }

  void Drop(std::string_view name) {
    const auto at = by_name_.find(name);
    if (at == by_name_.end()) return;
    const auto entry = at->second;
    by_name_.erase(at);
    entries_.erase(entry);
  }

  size_t size() const { return entries_.size(); }
  bool full() const { return entries_.size() >= most_; }
  // The one not used for longest; null when there is none.
  const Value* Oldest() const { return entries_.empty() ? nullptr : &entries_.back().second; }

 private:
  using Entry = std::pair<std::string, Value>;

  const size_t most_;
  std::list<Entry> entries_;  // the one used last is first
  std::unordered_map<std::string_view, typename std::list<Entry>::iterator> by_name_;
};

}  // namespace jetmon::probe

#endif  // JETMON_PROBE_LRU_H_

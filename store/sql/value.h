#ifndef JETMON_STORE_SQL_VALUE_H_
#define JETMON_STORE_SQL_VALUE_H_

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace jetmon::sql {

// A value that a statement is given.
class Value {
 public:
  Value() = default;  // NULL
  template <std::integral T>
  Value(T v) : v_(static_cast<int64_t>(v)) {}
  Value(double v) : v_(v) {}
  Value(std::string v) : v_(std::move(v)) {}
  Value(std::string_view v) : v_(std::string(v)) {}
  Value(const char* v) : v_(std::string(v)) {}
  template <typename T>
  Value(const std::optional<T>& v) {
    if (v.has_value()) *this = Value(*v);
  }
  // Bytes that are not text.
  static Value Blob(std::string_view bytes) {
    Value v;
    v.v_ = Bytes{std::string(bytes)};
    return v;
  }

  struct Bytes {
    std::string data;
  };
  using Variant = std::variant<std::monostate, int64_t, double, std::string, Bytes>;
  const Variant& variant() const { return v_; }

 private:
  Variant v_;
};

// The parameters of a statement, in the order of its question marks: an initializer list, or any
// contiguous values.
class Params {
 public:
  Params() = default;
  Params(std::initializer_list<Value> values) : span_(values.begin(), values.size()) {}
  template <typename Container>
  requires requires(const Container& c) { std::span<const Value>(c); }
  Params(const Container& values) : span_(values) {}
  std::span<const Value> values() const { return span_; }

 private:
  std::span<const Value> span_;
};

}  // namespace jetmon::sql

#endif  // JETMON_STORE_SQL_VALUE_H_

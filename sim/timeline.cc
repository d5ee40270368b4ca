#include "sim/timeline.h"

#include <algorithm>

namespace doozer::sim {
namespace {

std::string text_of(const LogField& field) {
  struct Visitor {
    std::string operator()(std::string_view text) const { return std::string(text); }
    std::string operator()(int64_t number) const { return std::to_string(number); }
    std::string operator()(uint64_t number) const { return std::to_string(number); }
    std::string operator()(bool truth) const { return truth ? "true" : "false"; }
    std::string operator()(double number) const { return std::to_string(number); }
  };
  return std::visit(Visitor{}, field.value);
}

/// Seconds with six digits, right-aligned.
std::string stamp(uint64_t us) {
  std::string text =
      std::to_string(us / 1'000'000) + '.' + std::to_string(1'000'000 + us % 1'000'000).substr(1);
  return std::string(text.size() < 11 ? 11 - text.size() : 0, ' ') + text;
}

}  // namespace

void Timeline::say(uint64_t now_us, std::string_view who, std::string_view what) {
  if (!on()) return;
  std::string line = stamp(now_us - std::min(now_us, start_us_)) + "  ";
  line += who;
  line.append(who.size() < 6 ? 6 - who.size() : 1, ' ');
  line += what;
  line += '\n';
  out_(line);
}

std::string record_text(const LogRecord& record) {
  std::string text;
  if (record.level >= LogLevel::warn) text = std::string(log_level_name(record.level)) + ": ";
  text += record.event;
  for (const LogField& field : record.fields) {
    text += ' ';
    text += field.key;
    text += '=';
    text += text_of(field);
  }
  return text;
}

}  // namespace doozer::sim

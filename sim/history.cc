#include "sim/history.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace doozer::sim {
namespace {

constexpr size_t kTagBytesMax = 40;
constexpr size_t kTagHeadBytes = 12;

std::string hex(uint64_t number) {
  std::string text(16, '0');
  for (size_t i = 0; i < text.size(); ++i) {
    text[text.size() - 1 - i] = "0123456789abcdef"[(number >> (4 * i)) & 15U];
  }
  return text;
}

}  // namespace

std::string value_tag(std::string_view value) {
  if (value.size() <= kTagBytesMax) return std::string(value);
  return std::string(value.substr(0, kTagHeadBytes)) + "~" + std::to_string(value.size()) + "~" +
         hex(hash64(value));
}

std::string_view kind_name(Action kind) {
  switch (kind) {
    case Action::set: return "set";
    case Action::del: return "del";
    case Action::nop: return "nop";
    case Action::get: return "get";
    case Action::stat: return "stat";
    case Action::walk: return "walk";
    case Action::getdir: return "getdir";
    case Action::rev: return "rev";
  }
  UNREACHABLE();
}

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::open: return "open";
    case Outcome::ok: return "ok";
    case Outcome::refused: return "refused";
    case Outcome::unknown: return "unknown";
    case Outcome::failed: return "failed";
  }
  UNREACHABLE();
}

std::string describe(const Op& op) {
  std::string text = "client " + std::to_string(op.client) + " " + std::string(kind_name(op.kind));
  if (!op.path.empty()) text += " " + quote(op.path);
  if (op.kind == Action::set) text += " = " + quote(op.value);
  if (op.kind == Action::set || op.kind == Action::del) text += " cas " + std::to_string(op.cas);
  if (op.linearizable) text += " linearizable";
  if (op.at_rev != 0) text += " at revision " + std::to_string(op.at_rev);
  if (op.min_rev != 0) text += " min_rev " + std::to_string(op.min_rev);
  text += " [" + std::to_string(op.invoked_us) + ", " +
          (op.completed_us == kNever ? "..." : std::to_string(op.completed_us)) + "] -> " +
          std::string(outcome_name(op.outcome));
  if (op.outcome == Outcome::refused) text += " " + std::string(code_name(op.code));
  if (op.outcome == Outcome::ok) {
    text += " revision " + std::to_string(op.revision);
    if (op.kind == Action::get) text += " value " + quote(op.value);
  }
  if (op.store_rev != 0) text += " store_rev " + std::to_string(op.store_rev);
  return text;
}

}  // namespace doozer::sim

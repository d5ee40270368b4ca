// The text of a plan: words of a line, taken from the left.
#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "sim/plan.h"

namespace doozer::sim {
namespace {

class Words {
 public:
  explicit Words(std::string_view line) : rest_(line.substr(0, line.find('#'))) {}
  /// The next word; empty at the end.
  std::string_view next() {
    const size_t begin = rest_.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return rest_ = {};
    rest_.remove_prefix(begin);
    const std::string_view word = rest_.substr(0, rest_.find_first_of(" \t\r"));
    rest_.remove_prefix(word.size());
    return word;
  }

 private:
  std::string_view rest_;
};

Result<uint64_t> parse_number(std::string_view word, uint64_t most) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (word.empty() || error != std::errc() || end != word.data() + word.size() || value > most) {
    return fail(Code::bad_argument,
                quote(word) + " is no number from 0 to " + std::to_string(most));
  }
  return value;
}

Result<uint64_t> parse_time(std::string_view word) {
  constexpr std::pair<std::string_view, uint64_t> kUnits[] = {
      {"us", 1}, {"ms", 1'000}, {"s", 1'000'000}};
  const Error bad{Code::bad_argument, quote(word) + " is no time such as 40us, 300ms or 1.5s"};
  for (const auto& [unit, us] : kUnits) {
    if (!word.ends_with(unit)) continue;
    const std::string_view number = word.substr(0, word.size() - unit.size());
    const size_t dot = number.find('.');
    const auto whole = parse_number(number.substr(0, dot), kPlanTimeUsMax / us);
    if (!whole) return fail(bad);
    uint64_t total = *whole * us;
    if (dot != std::string_view::npos) {
      const std::string_view digits = number.substr(dot + 1);
      const auto part = parse_number(digits, 999'999);
      if (!part || digits.size() > 6) return fail(bad);
      uint64_t scale = 1;
      for (size_t i = 0; i < digits.size(); ++i) scale *= 10;
      total += *part * us / scale;
    }
    return total;
  }
  return fail(bad);
}

Result<Who> parse_who(std::string_view word) {
  if (word == "leader") return Who{Who::Kind::leader};
  if (word == "follower") return Who{Who::Kind::follower};
  if (word == "servers") return Who{Who::Kind::servers};
  if (word == "clients") return Who{Who::Kind::clients};
  if (word.starts_with('s') || word.starts_with('c')) {
    const bool server = word.front() == 's';
    const auto number = parse_number(word.substr(1), server ? kPlanServersMax : kPlanClientsMax);
    if (number && *number > 0) {
      return Who{server ? Who::Kind::server : Who::Kind::client, *number};
    }
  }
  return fail(Code::bad_argument, quote(word) +
                                      " is nobody: s1.., c1.., leader, follower, "
                                      "servers or clients");
}

Result<CrashKind> parse_crash(std::string_view word) {
  for (const CrashKind kind : kCrashKinds) {
    if (kind != CrashKind::process && crash_kind_name(kind) == "machine_" + std::string(word)) {
      return kind;
    }
  }
  return fail(Code::bad_argument, quote(word) + " is no crash: lost, kept, torn or mixed");
}

bool is_a_server(const Who& who) {
  return who.kind != Who::Kind::client && who.kind != Who::Kind::clients;
}

Result<void> parse_targets(const StepRule& rule, Words& words, Step& step) {
  if (rule.takes == StepRule::Takes::nobody) return {};
  TRY_ASSIGN(step.a, parse_who(words.next()));
  if (rule.takes == StepRule::Takes::path) {
    const std::string_view arrow = words.next();
    if (arrow != "<>" && arrow != ">") {
      return fail(Code::bad_argument, quote(arrow) + " is neither <> (both ways) nor > (one way)");
    }
    step.both = arrow == "<>";
  }
  if (rule.takes != StepRule::Takes::one) {
    TRY_ASSIGN(step.b, parse_who(words.next()));
  }
  if (rule.takes != StepRule::Takes::path && (!is_a_server(step.a) || !is_a_server(step.b))) {
    return fail(Code::bad_argument,
                std::string(rule.name) + " is done to servers, not to " + to_string(step.a));
  }
  return {};
}

/// After `at`.
Result<Step> parse_step(Words& words) {
  Step step;
  TRY_ASSIGN(step.at_us, parse_time(words.next()));
  std::string_view word = words.next();
  const bool lasts = word == "for";
  if (lasts) {
    TRY_ASSIGN(step.for_us, parse_time(words.next()));
    word = words.next();
  }
  const StepRule* rule = find_rule(word);
  if (rule == nullptr) return fail(Code::bad_argument, quote(word) + " is no step");
  if (lasts && (!rule->lasts || step.for_us == 0)) {
    return fail(Code::bad_argument, std::string(rule->name) + " takes no such `for`");
  }
  step.kind = rule->kind;
  TRY(parse_targets(*rule, words, step));
  if (rule->amount == StepRule::Amount::time) {
    TRY_ASSIGN(step.amount, parse_time(words.next()));
  }
  if (rule->amount == StepRule::Amount::number) {
    TRY_ASSIGN(step.amount, parse_number(words.next(), UINT64_MAX));
  }
  if (step.kind == StepKind::flap && step.amount < 1'000) {
    return fail(Code::bad_argument, "flap: a path cannot change more often than once in 1ms");
  }
  if (step.kind == StepKind::crash) {
    TRY_ASSIGN(step.crash, parse_crash(words.next()));
  }
  return step;
}

Result<void> parse_drift(Words& words, Plan& plan) {
  TRY_ASSIGN(const Who who, parse_who(words.next()));
  if (who.kind != Who::Kind::server) {
    return fail(Code::bad_argument, "drift: of one server, such as s2");
  }
  std::string_view word = words.next();
  const bool slower = word.starts_with('-');
  if (slower) word.remove_prefix(1);
  TRY_ASSIGN(const uint64_t ppm, parse_number(word, 10'000));
  plan.drift_ppm[who.number] = slower ? -static_cast<int64_t>(ppm) : static_cast<int64_t>(ppm);
  return {};
}

Result<void> parse_line(std::string_view line, Plan& plan) {
  struct Setting {
    std::string_view key;
    uint64_t Plan::* value;
    uint64_t most;  ///< 0: a time
  };
  static constexpr Setting kSettings[] = {
      {"seed", &Plan::seed, UINT64_MAX},
      {"servers", &Plan::servers, kPlanServersMax},
      {"slots", &Plan::slots, kPlanServersMax},
      {"clients", &Plan::clients, kPlanClientsMax},
      {"faults", &Plan::faults_us, 0},
      {"timeout", &Plan::timeout_us, 0},
      {"pulse", &Plan::pulse_us, 0},
      {"sync", &Plan::sync_us, 0},
      {"latency", &Plan::latency_us, 0},
      {"history", &Plan::history, UINT32_MAX},
      {"snapshot", &Plan::snapshot_bytes, UINT32_MAX},
      {"retain", &Plan::retain_entries, UINT32_MAX},
  };
  Words words(line);
  const std::string_view key = words.next();
  if (key.empty()) return {};
  if (key == "at") {
    if (plan.steps.size() == kPlanStepsMax) return fail(Code::too_large, "too many steps");
    TRY_ASSIGN(const Step step, parse_step(words));
    plan.steps.push_back(step);
  } else if (key == "drift") {
    TRY(parse_drift(words, plan));
  } else if (key == "plan") {
    plan.name = words.next();
  } else {
    const auto* setting = std::ranges::find(kSettings, key, &Setting::key);
    if (setting == std::end(kSettings)) {
      return fail(Code::bad_argument, quote(key) + " is not known");
    }
    const std::string_view word = words.next();
    TRY_ASSIGN(plan.*(setting->value),
               setting->most == 0 ? parse_time(word) : parse_number(word, setting->most));
  }
  if (const std::string_view more = words.next(); !more.empty()) {
    return fail(Code::bad_argument, quote(more) + " is too much");
  }
  return {};
}

Result<void> check_together(const Plan& plan) {
  if (plan.servers == 0 || plan.slots == 0 || plan.slots > plan.servers) {
    return fail(Code::bad_argument, "servers " + std::to_string(plan.servers) + ", slots " +
                                        std::to_string(plan.slots) +
                                        ": there must be 1 <= slots <= servers");
  }
  if (plan.timeout_us < 10'000'000) {
    return fail(Code::bad_argument, "timeout " + time_text(plan.timeout_us) + ": at least 10s");
  }
  if (plan.pulse_us == 0 || plan.pulse_us > 1'000'000) {
    return fail(Code::bad_argument, "pulse " + time_text(plan.pulse_us) + ": over 0s, at most 1s");
  }
  return {};
}

}  // namespace

Result<Plan> parse_plan(std::string_view text) {
  Plan plan;
  for (uint64_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const auto parsed = parse_line(text.substr(0, end), plan);
    if (!parsed) {
      return fail(parsed.error().code,
                  "line " + std::to_string(number) + ": " + parsed.error().message);
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  TRY(check_together(plan));
  sort_by_time(plan.steps);
  return plan;
}

}  // namespace doozer::sim

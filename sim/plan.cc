#include "sim/plan.h"

#include <algorithm>

#include "base/check.h"

namespace doozer::sim {
namespace {

using Family = StepRule::Family;
using Takes = StepRule::Takes;
using Amount = StepRule::Amount;

constexpr StepRule kRules[] = {
    {StepKind::cut, "cut", Family::path, Takes::path, Amount::none, true},
    {StepKind::reject, "reject", Family::path, Takes::path, Amount::none, true},
    {StepKind::clog, "clog", Family::path, Takes::path, Amount::none, true},
    {StepKind::flap, "flap", Family::path, Takes::path, Amount::time, true},
    {StepKind::delay, "delay", Family::path, Takes::path, Amount::time, true},
    {StepKind::slow, "slow", Family::path, Takes::path, Amount::number, true},
    {StepKind::mtu, "mtu", Family::path, Takes::path, Amount::number, true},
    {StepKind::loss, "loss", Family::path, Takes::path, Amount::number, true},
    {StepKind::resets, "resets", Family::path, Takes::path, Amount::number, true},
    {StepKind::kill, "kill", Family::process, Takes::one, Amount::none, true},
    {StepKind::stop, "stop", Family::process, Takes::one, Amount::none, true},
    {StepKind::crash, "crash", Family::process, Takes::one, Amount::none, true},
    {StepKind::pause, "pause", Family::process, Takes::one, Amount::none, true},
    {StepKind::stall, "stall", Family::process, Takes::one, Amount::none, true},
    {StepKind::slow_sync, "slow-sync", Family::disk, Takes::one, Amount::time, true},
    {StepKind::stuck_sync, "stuck-sync", Family::disk, Takes::one, Amount::none, true},
    {StepKind::slow_log, "slow-log", Family::disk, Takes::one, Amount::time, true},
    {StepKind::stuck_bulk, "stuck-bulk", Family::disk, Takes::one, Amount::none, true},
    {StepKind::fail_sync, "fail-sync", Family::disk, Takes::one, Amount::none, false},
    {StepKind::fail_reads, "fail-reads", Family::disk, Takes::one, Amount::number, true},
    {StepKind::rot, "rot", Family::disk, Takes::one, Amount::number, false},
    {StepKind::rot_tail, "rot-tail", Family::disk, Takes::one, Amount::number, false},
    {StepKind::full, "full", Family::disk, Takes::one, Amount::number, true},
    {StepKind::wipe, "wipe", Family::swap, Takes::one, Amount::none, true},
    {StepKind::save, "save", Family::disk, Takes::one, Amount::none, false},
    {StepKind::rollback, "rollback", Family::swap, Takes::one, Amount::none, true},
    {StepKind::copy, "copy", Family::swap, Takes::pair, Amount::none, true},
    {StepKind::foreign, "foreign", Family::swap, Takes::one, Amount::none, true},
    {StepKind::wall, "wall", Family::wall, Takes::one, Amount::time, false},
    {StepKind::wall_back, "wall-back", Family::wall, Takes::one, Amount::time, false},
    {StepKind::empty_slot, "empty-slot", Family::slot, Takes::nobody, Amount::number, false},
    {StepKind::create_slot, "create-slot", Family::slot, Takes::nobody, Amount::number, false},
    {StepKind::delete_slot, "delete-slot", Family::slot, Takes::nobody, Amount::number, false},
    {StepKind::add_server, "add-server", Family::grow, Takes::nobody, Amount::none, false},
    {StepKind::burst, "burst", Family::load, Takes::one, Amount::number, false},
};

}  // namespace

const StepRule& rule_of(StepKind kind) {
  for (const StepRule& rule : kRules) {
    if (rule.kind == kind) return rule;
  }
  UNREACHABLE();
}

const StepRule* find_rule(std::string_view name) {
  for (const StepRule& rule : kRules) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

std::string to_string(const Who& who) {
  switch (who.kind) {
    case Who::Kind::server: return "s" + std::to_string(who.number);
    case Who::Kind::client: return "c" + std::to_string(who.number);
    case Who::Kind::leader: return "leader";
    case Who::Kind::follower: return "follower";
    case Who::Kind::servers: return "servers";
    case Who::Kind::clients: return "clients";
  }
  UNREACHABLE();
}

std::string time_text(uint64_t us) {
  if (us % 1'000 != 0) return std::to_string(us) + "us";
  if (us % 1'000'000 != 0 && us < 1'000'000) return std::to_string(us / 1'000) + "ms";
  std::string text = std::to_string(us / 1'000'000);
  if (const uint64_t ms = us / 1'000 % 1'000; ms != 0) {
    text += '.' + std::to_string(1'000 + ms).substr(1);
    while (text.back() == '0') text.pop_back();
  }
  return text + "s";
}

std::string to_string(const Step& step) {
  const StepRule& rule = rule_of(step.kind);
  std::string text = "at " + time_text(step.at_us);
  if (step.for_us != 0) text += " for " + time_text(step.for_us);
  text += ' ' + std::string(rule.name);
  if (rule.takes != Takes::nobody) text += ' ' + to_string(step.a);
  if (rule.takes == Takes::path) text += step.both ? " <> " : " > ";
  if (rule.takes == Takes::pair) text += ' ';
  if (rule.takes == Takes::path || rule.takes == Takes::pair) text += to_string(step.b);
  if (rule.amount == Amount::time) text += ' ' + time_text(step.amount);
  if (rule.amount == Amount::number) text += ' ' + std::to_string(step.amount);
  if (step.kind == StepKind::crash) {
    text += ' ' + std::string(crash_kind_name(step.crash)).substr(sizeof("machine_") - 1);
  }
  return text;
}

std::string to_string(const Plan& plan) {
  const auto line = [](std::string_view key, const std::string& value) {
    return std::string(key) + ' ' + value + '\n';
  };
  std::string text;
  if (!plan.name.empty()) text += line("plan", plan.name);
  text += line("seed", std::to_string(plan.seed));
  text += line("servers", std::to_string(plan.servers));
  text += line("slots", std::to_string(plan.slots));
  text += line("clients", std::to_string(plan.clients));
  text += line("faults", time_text(plan.faults_us));
  text += line("timeout", time_text(plan.timeout_us));
  text += line("pulse", time_text(plan.pulse_us));
  text += line("sync", time_text(plan.sync_us));
  text += line("latency", time_text(plan.latency_us));
  if (plan.history != 0) text += line("history", std::to_string(plan.history));
  if (plan.snapshot_bytes != 0) text += line("snapshot", std::to_string(plan.snapshot_bytes));
  if (plan.retain_entries != 0) text += line("retain", std::to_string(plan.retain_entries));
  for (const auto& [server, ppm] : plan.drift_ppm) {
    text += line("drift", "s" + std::to_string(server) + ' ' + std::to_string(ppm));
  }
  for (const Step& step : plan.steps) text += to_string(step) + '\n';
  return text;
}

void sort_by_time(std::vector<Step>& steps) {
  for (auto step = steps.begin(); step != steps.end(); ++step) {
    const auto place =
        std::upper_bound(steps.begin(), step, step->at_us,
                         [](uint64_t at_us, const Step& other) { return at_us < other.at_us; });
    std::rotate(place, step, step + 1);
  }
}

}  // namespace doozer::sim

// The promises, one plan each. All begin with a whole cluster.
#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "sim/plan_draw.h"

namespace doozer::sim {
namespace {

constexpr uint64_t kSecond = 1'000'000;

/// Cuts every pair of servers for which `connected` is false, until the heal.
void keep_only(Plan& plan, bool (*connected)(uint64_t a, uint64_t b, uint64_t servers)) {
  for (uint64_t a = 1; a <= plan.servers; ++a) {
    for (uint64_t b = a + 1; b <= plan.servers; ++b) {
      if (connected(a, b, plan.servers)) continue;
      plan.steps.push_back({.at_us = kSecond,
                            .kind = StepKind::cut,
                            .a = {Who::Kind::server, a},
                            .b = {Who::Kind::server, b}});
    }
  }
}

void chain(Plan& plan) {
  keep_only(plan, [](uint64_t a, uint64_t b, uint64_t) { return b == a + 1; });
}
void ring(Plan& plan) {
  keep_only(plan, [](uint64_t a, uint64_t b, uint64_t servers) {
    return b == a + 1 || (a == 1 && b == servers);
  });
}
void star(Plan& plan) {
  keep_only(plan, [](uint64_t a, uint64_t, uint64_t) { return a == 1; });
}
/// Two halves that only the middle one joins.
void bridge(Plan& plan) {
  keep_only(plan, [](uint64_t a, uint64_t b, uint64_t servers) {
    const uint64_t middle = (servers + 1) / 2;
    return a == middle || b == middle || (a < middle) == (b < middle);
  });
}

struct Named {
  std::string_view name;
  void (*shape)(Plan& plan);  ///< may be nullptr
  std::string_view steps;     ///< lines of a plan
};

// `servers` of a plan are its slots; lines may raise them for standbys.
constexpr Named kPlans[] = {
    {"idle", nullptr, ""},
    {"quiet", nullptr, ""},
    {"chain", chain, ""},
    {"bridge", bridge, ""},
    {"ring", ring, ""},
    {"star", star, ""},
    {"one-way", nullptr, "at 1s for 8s cut leader > servers\n"},
    {"one-way-back", nullptr, "at 1s for 8s cut servers > leader\n"},
    {"leader-link", nullptr, "at 1s cut leader <> follower\n"},
    {"leader-clients", nullptr, "at 1s cut leader <> clients\n"},
    {"flapping", nullptr, "at 1s for 9s flap leader <> follower 200ms\n"},
    {"minority", nullptr, "at 1s for 9s cut leader <> servers\n"},
    {"majority-gone", nullptr,
     "at 1s for 5s kill s1\nat 1s for 6s kill s2\nat 1s for 7s kill s3\nat 1s for 5s kill s4\n"},
    {"leader-killed", nullptr,
     "at 1s for 2s kill leader\nat 5s for 2s kill leader\nat 9s for 2s kill leader\n"},
    {"leader-vanishes", nullptr, "at 1s for 9s crash leader lost\n"},
    {"leader-paused", nullptr,
     "at 1s for 1s pause leader\nat 4s for 4s pause leader\nat 9s for 300ms pause leader\n"},
    {"leader-disk-stuck", nullptr, "at 1s for 9s stuck-sync leader\n"},
    {"leader-disk-slow", nullptr, "at 1s for 9s slow-sync leader 50ms\n"},
    {"all-killed", nullptr, "at 2s for 1s kill servers\nat 6s for 500ms kill servers\n"},
    {"power-cut", nullptr,
     "at 2s for 1s crash servers lost\nat 5s for 1s crash servers torn\n"
     "at 8s for 1s crash servers mixed\n"},
    {"rolling-restart", nullptr,
     "at 1s for 500ms stop s1\nat 4s for 500ms stop s2\nat 7s for 500ms stop s3\n"},
    {"replaced", nullptr, "at 500ms add-server\nat 2s kill s2\n"},
    {"empty-disk", nullptr, "at 500ms add-server\nat 2s for 2s wipe s2\n"},
    {"rolled-back-disk", nullptr, "at 1s save s2\nat 4s for 500ms rollback s2\n"},
    {"rolled-back-voter", nullptr,
     "at 500ms save s3\nat 2s for 1s cut s2 <> servers\nat 2800ms for 100ms rollback s3\n"
     "at 2990ms for 4s kill leader\n"},
    {"refused-disk", nullptr,
     "at 1s save s2\nat 2s for 200ms kill s2\nat 4s for 2s crash s3 lost\n"
     "at 5s for 300ms rollback s2\nat 5600ms for 4s crash s1 lost\n"},
    {"copied-disk", nullptr, "at 2s for 500ms copy s1 s2\n"},
    {"wrong-cluster", nullptr, "at 2s for 5s foreign s2\n"},
    {"slots", nullptr,
     "at 500ms add-server\nat 1s add-server\nat 2s create-slot 3\nat 3s create-slot 4\n"
     "at 6s empty-slot 0\nat 8s delete-slot 4\n"},
    {"snapshot-crawls", nullptr,
     "history 200\nsnapshot 30000\nretain 20\nat 500ms for 4s kill s3\n"
     "at 4500ms for 6s flap s3 <> servers 150ms\nat 4500ms for 6s slow s3 <> servers 60000\n"},
    {"overload", nullptr, "at 1s burst leader 5000\nat 3s burst s2 5000\nat 5s burst s3 5000\n"},
    {"full-disks", nullptr,
     "at 500ms for 3500ms full s1 100000\nat 4500ms for 4s full s2 0\nat 4500ms for 4s full s3 0\n"
     "at 9s for 3s full servers 100000\n"},
};

}  // namespace

std::vector<std::string_view> plan_names() {
  std::vector<std::string_view> names;
  for (const Named& plan : kPlans) names.push_back(plan.name);
  return names;
}

Result<Plan> named_plan(std::string_view name, uint64_t servers, uint64_t seed) {
  const auto* named = std::ranges::find(kPlans, name, &Named::name);
  if (named == std::end(kPlans)) {
    return fail(Code::bad_argument, "plan " + quote(name) + ": there is none of that name");
  }
  const std::string count = std::to_string(servers);
  std::string text = "plan " + std::string(name) + "\nservers " + count + "\nslots " + count +
                     "\nfaults 12s\n" + std::string(named->steps);
  if (name == "idle") text += "clients 0\npulse 1s\nfaults 600s\n";
  // A member that is gone for good is replaced only after its time-out.
  if (name == "replaced" || name == "empty-disk") text += "faults 25s\n";
  TRY_ASSIGN(Plan plan, parse_plan(text));
  plan.seed = seed;
  if (named->shape != nullptr) named->shape(plan);
  return plan;
}

}  // namespace doozer::sim

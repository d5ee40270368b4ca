// Membership: the register, slots that only the cluster fills, the cluster's version, and all three
// through an image.
#include "core/membership.h"

#include <gtest/gtest.h>

#include <set>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/rng.h"
#include "core/image_format.h"
#include "core/testing.h"

namespace doozer::core {
namespace {

Identity server(uint8_t number) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes.back() = number;
  bytes.front() = 7;
  return Identity(bytes);
}
std::string name(uint8_t number) { return server(number).to_string(); }
std::string slot(int number) { return "/ctl/cal/" + std::to_string(number); }
std::string outcome(const Applied& applied) {
  return applied.refused ? std::string(code_name(applied.refused->code)) : "ok";
}

struct Cluster : Driver {
  Applied attach(uint8_t number, uint64_t incarnation = 1, std::string_view address = "host:1") {
    return apply(AttachView{.identity = server(number),
                            .incarnation = Incarnation(incarnation),
                            .cluster_version = 1,
                            .address = address},
                 as_system());
  }
  SlotUpdateView update(std::string_view path, std::optional<uint8_t> number) const {
    const Found found = machine->find(path, std::nullopt);
    return {.path = path,
            .revision = found.file.revision.value(),
            .identity = number ? server(*number) : Identity()};
  }
  Applied reconcile(const std::vector<SlotUpdateView>& updates) {
    return apply(ReconcileView{updates}, as_system());
  }
  const Member& member(uint8_t number) const { return *machine->members().find(server(number)); }
  /// "PATH=VALUE" each.
  std::vector<std::string> slots() const {
    std::vector<std::string> all;
    for (const SlotView& view : machine->slots()) {
      all.push_back(std::string(view.path) + "=" + std::string(view.value));
      EXPECT_EQ(look(view.path),
                "file " + std::string(view.value) + " @" + std::to_string(view.revision.value()));
    }
    return all;
  }
};

/// Servers 1 to 5 attached, three slots, server 1 in the first.
struct Booted : Cluster {
  Booted() {
    for (uint8_t number = 1; number <= 5; ++number) attach(number);
    system_set(slot(0), name(1));
    system_set(slot(1), "");
    system_set(slot(2), "");
  }
  const std::string s0 = slot(0);
  const std::string s1 = slot(1);
  const std::string s2 = slot(2);
};

TEST(Attach, EntersTheServerAndTakesNoRevision) {
  Cluster cluster;
  cluster.nop();
  const Applied applied = cluster.attach(3, 7, "there:8046");
  EXPECT_EQ(outcome(applied), "ok");
  EXPECT_FALSE(applied.changed);
  EXPECT_EQ(applied.revision, Revision(1));
  EXPECT_EQ(cluster.machine->stats().history_events, 1U);
  cluster.attach(2);
  EXPECT_EQ(cluster.member(3), (Member{.identity = server(3),
                                       .incarnation = Incarnation(7),
                                       .cluster_version = 1,
                                       .address = "there:8046",
                                       .removed = false,
                                       .registered = Index(2)}));
  EXPECT_EQ(cluster.machine->members().find(server(1)), nullptr);
  std::vector<Identity> order;
  for (const auto& [identity, member] : cluster.machine->members().entries()) {
    order.push_back(identity);
  }
  EXPECT_EQ(order, (std::vector<Identity>{server(2), server(3)}));
}

TEST(Attach, AgainBringsTheEntryUpToDateUnlessTheIncarnationIsLower) {
  Cluster cluster;
  cluster.attach(1, 5, "old:1");
  EXPECT_EQ(outcome(cluster.attach(1, 4, "older:1")), "other");
  EXPECT_EQ(cluster.member(1).address, "old:1");
  EXPECT_EQ(outcome(cluster.attach(1, 5, "moved:1")), "ok");
  EXPECT_EQ(cluster.member(1).address, "moved:1");
  EXPECT_EQ(cluster.member(1).registered, Index(3));
  EXPECT_EQ(outcome(cluster.attach(1, 6, "new:1")), "ok");
  EXPECT_EQ(cluster.member(1).incarnation, Incarnation(6));
  EXPECT_EQ(cluster.machine->members().size(), 1U);
}

TEST(Attach, AFullRegisterForgetsWhoAttachedLongestAgoAndIsInNoSlot) {
  Booted cluster;
  for (uint8_t number = 6; number <= kRegisterMax; ++number) cluster.attach(number);
  cluster.reconcile({cluster.update(cluster.s1, 2)});
  cluster.attach(3, 2);  // 3 is no longer the oldest, 4 is
  ASSERT_EQ(cluster.machine->members().size(), kRegisterMax);
  const auto knows = [&](uint8_t number) {
    return cluster.machine->members().find(server(number)) != nullptr;
  };
  cluster.attach(100);
  EXPECT_FALSE(knows(4));
  cluster.attach(101);
  EXPECT_FALSE(knows(5));
  for (const int number : {1, 2, 3, 6, 100, 101}) {
    EXPECT_TRUE(knows(static_cast<uint8_t>(number))) << number;
  }
  EXPECT_EQ(cluster.machine->members().size(), kRegisterMax);
}

TEST(Reconcile, WritesItsSlotsInOneRevisionInOrder) {
  Booted cluster;
  const Revision before = cluster.machine->revision();
  const Applied applied =
      cluster.reconcile({cluster.update(cluster.s2, 3), cluster.update(cluster.s0, std::nullopt),
                         cluster.update(cluster.s1, 1)});
  EXPECT_EQ(outcome(applied), "ok");
  EXPECT_TRUE(applied.changed);
  EXPECT_EQ(applied.revision, before + 1);
  EXPECT_EQ(cluster.slots(), (std::vector<std::string>{slot(0) + "=", slot(1) + "=" + name(1),
                                                       slot(2) + "=" + name(3)}));
  class Ear : public Waiter {
   public:
    void on_event(WatchId, uint64_t, const EventView& event, uint32_t more) override {
      told = std::string(event.path) + " " + std::to_string(event.position.sub) + "+" +
             std::to_string(more);
    }
    void on_revision(WatchId, uint64_t) override {}
    void on_too_late(WatchId, uint64_t, Revision) override {}
    std::string told;
  } ear;
  cluster.machine->watches().wait_event(glob("/ctl/cal/*"), {applied.revision, 1}, 0, ear, 0);
  cluster.run();
  EXPECT_EQ(ear.told, "/ctl/cal/0 1+1");
}

TEST(Reconcile, IsAllOrNothing) {
  struct Case {
    const char* what;
    const char* expected;
    std::function<std::vector<SlotUpdateView>(const Booted&)> updates;
  };
  const std::string s3 = slot(3);
  for (const Case& each : std::vector<Case>{
           {"good", "ok", [](const Booted& c) { return std::vector{c.update(c.s2, 2)}; }},
           {"the slot is newer", "revision_mismatch",
            [](const Booted& c) {
              auto stale = c.update(c.s1, 3);
              --stale.revision;
              return std::vector{c.update(c.s2, 2), stale};
            }},
           {"the slot is older", "revision_mismatch",
            [](const Booted& c) {
              auto ahead = c.update(c.s1, 3);
              ++ahead.revision;
              return std::vector{c.update(c.s2, 2), ahead};
            }},
           {"no such slot", "other",
            [&](const Booted& c) { return std::vector{c.update(c.s2, 2), c.update(s3, 3)}; }},
           {"a slot that was deleted", "revision_mismatch",
            [&](const Booted& c) {
              auto gone = c.update(s3, 3);
              gone.revision = 4;
              return std::vector{c.update(c.s2, 2), gone};
            }},
           {"no slot's path", "other",
            [](const Booted& c) {
              return std::vector{c.update(c.s2, 2), c.update("/ctl/name", 3)};
            }},
           {"one slot twice", "other",
            [](const Booted& c) { return std::vector{c.update(c.s2, 2), c.update(c.s2, 3)}; }},
           {"unknown identity", "other",
            [](const Booted& c) { return std::vector{c.update(c.s2, 2), c.update(c.s1, 9)}; }},
           {"in two slots at once", "other",
            [](const Booted& c) { return std::vector{c.update(c.s2, 2), c.update(c.s1, 2)}; }},
           {"in a slot already", "other",
            [](const Booted& c) { return std::vector{c.update(c.s2, 2), c.update(c.s1, 1)}; }},
           {"nobody left", "other",
            [](const Booted& c) { return std::vector{c.update(c.s0, std::nullopt)}; }},
           {"nothing to do", "ok", [](const Booted&) { return std::vector<SlotUpdateView>(); }},
       }) {
    Booted cluster;
    cluster.set("/ctl/name", -1, "local");
    const Digests before = cluster.machine->digests();
    const auto slots_before = cluster.slots();
    const Applied applied = cluster.reconcile(each.updates(cluster));
    EXPECT_EQ(outcome(applied), each.expected) << each.what;
    EXPECT_EQ(applied.changed, each.what == std::string("good")) << each.what;
    if (!applied.changed) {
      EXPECT_EQ(cluster.slots(), slots_before) << each.what;
      EXPECT_EQ(cluster.machine->digests().state, before.state) << each.what;
      EXPECT_EQ(cluster.machine->revision(), before.revision) << each.what;
    }
  }
}

TEST(Reconcile, GarbageInASlotIsNobodyAndMayBeReplaced) {
  Booted cluster;
  cluster.system_set(cluster.s1, "garbage of no identity");
  cluster.system_set(cluster.s2, "garbage of no identity");
  EXPECT_EQ(outcome(cluster.reconcile({cluster.update(cluster.s1, 2)})), "ok");
  EXPECT_EQ(cluster.slots()[1], slot(1) + "=" + name(2));
}

TEST(Membership, ItsCommandsAreTheClustersOwn) {
  Booted cluster;
  const Digests before = cluster.machine->digests();
  const std::vector<BodyView> bodies = {
      AttachView{server(9), Incarnation(1), 1, "x:1"},
      ReconcileView{{cluster.update(cluster.s1, 2)}}, RaiseVersionView{1},
      RaiseVersionView{kClusterVersion + 1},  // and does not stop the server either
  };
  for (const BodyView& body : bodies) {
    EXPECT_EQ(outcome(cluster.apply(body)), "other") << body.index();
    EXPECT_EQ(cluster.machine->digests().state, before.state);
  }
}

TEST(Removed, IsWhoLostASlotToAClientUntilChosenOrStartedAgain) {
  Booted cluster;
  cluster.reconcile({cluster.update(cluster.s1, 2), cluster.update(cluster.s2, 3)});
  cluster.set(cluster.s1, -1, name(2));  // what is there
  EXPECT_FALSE(cluster.member(2).removed);
  cluster.set(cluster.s1, -1, "");
  cluster.del(cluster.s2, -1);
  EXPECT_TRUE(cluster.member(2).removed);
  EXPECT_TRUE(cluster.member(3).removed);
  EXPECT_FALSE(cluster.member(1).removed);
  cluster.attach(2, 1);  // the same start: no change of mind
  EXPECT_TRUE(cluster.member(2).removed);
  cluster.attach(2, 2);
  EXPECT_FALSE(cluster.member(2).removed);
  cluster.reconcile({cluster.update(cluster.s1, 3)});
  EXPECT_FALSE(cluster.member(3).removed);
  // Who loses a slot to the cluster itself is as good as any other.
  cluster.reconcile({cluster.update(cluster.s1, 2)});
  EXPECT_FALSE(cluster.member(3).removed);
  cluster.system_set(cluster.s1, "");
  EXPECT_FALSE(cluster.member(2).removed);
}

TEST(Removed, ATransactionCountsOnlyIfItHappens) {
  Booted cluster;
  cluster.reconcile({cluster.update(cluster.s1, 2)});
  const OperationView empties{.set = true, .path = cluster.s1, .value = ""};
  EXPECT_EQ(outcome(cluster.apply(TransactionView{{}, {empties, {true, "/ctl", "no"}}})),
            "is_directory");
  EXPECT_FALSE(cluster.member(2).removed);
  EXPECT_EQ(outcome(cluster.set(cluster.s1, 1, "")), "revision_mismatch");
  EXPECT_FALSE(cluster.member(2).removed);
  EXPECT_EQ(outcome(cluster.apply(TransactionView{{}, {empties, {true, "/x", "yes"}}})), "ok");
  EXPECT_TRUE(cluster.member(2).removed);
}

TEST(Slots, AreListedNumbersFirstWithWhateverTheyHold) {
  Cluster cluster;
  for (const char* each : {"10", "9", "b", "0", "1x", "a", "09"}) {
    cluster.system_set("/ctl/cal/" + std::string(each), each);
  }
  cluster.set("/ctl/cal/5/below", -1, "a directory is no slot");
  cluster.system_set("/ctl/cal/b", "");
  cluster.del("/ctl/cal/a", -1);
  EXPECT_EQ(cluster.slots(),
            (std::vector<std::string>{"/ctl/cal/0=0", "/ctl/cal/09=09", "/ctl/cal/9=9",
                                      "/ctl/cal/10=10", "/ctl/cal/1x=1x", "/ctl/cal/b="}));
}

TEST(Slots, NobodyMakesMoreThanTheLimit) {
  Cluster cluster;
  cluster.system_set(slot(0), name(1));
  for (size_t i = 1; i < kSlotsMax; ++i) {
    ASSERT_EQ(outcome(cluster.set(slot(static_cast<int>(i)), 0, "")), "ok");
  }
  const std::string above = slot(kSlotsMax);
  EXPECT_EQ(outcome(cluster.set(above, 0, "")), "other");
  EXPECT_EQ(outcome(cluster.system_set(above, "")), "other");
  const std::string last = slot(kSlotsMax - 1);
  const TransactionView moves{{}, {{false, last, ""}, {true, above, ""}}};
  EXPECT_EQ(outcome(cluster.apply(moves)), "ok");
  const TransactionView grows{{}, {{true, last, ""}, {false, above, ""}}};
  EXPECT_EQ(outcome(cluster.apply(grows)), "other");
  EXPECT_EQ(cluster.slots().size(), kSlotsMax);
  EXPECT_EQ(outcome(cluster.set(last, -1, "")), "other");
  EXPECT_EQ(outcome(cluster.set(above, -1, "")), "ok");  // it is there
}

TEST(RaiseVersion, IsTheGreaterOfBothAndTakesNoRevision) {
  Driver driver;
  driver.nop();
  const Applied applied = driver.apply(RaiseVersionView{kClusterVersion}, as_system());
  EXPECT_EQ(outcome(applied), "ok");
  EXPECT_FALSE(applied.changed);
  EXPECT_EQ(applied.revision, Revision(1));
  EXPECT_EQ(driver.machine->cluster_version(), kClusterVersion);
}

TEST(RaiseVersion, ToWhatThisBuildDoesNotKnowStopsTheServer) {
  Driver driver;
  driver.nop();
  const Digests before = driver.machine->digests();
  const auto applied =
      driver.machine->apply(Index(2), encode(RaiseVersionView{kClusterVersion + 1}, as_system()));
  ASSERT_FALSE(applied.has_value());
  EXPECT_EQ(applied.error().code, Code::unsupported);
  EXPECT_EQ(driver.machine->digests(), before);
  Envelope newer;
  newer.cluster_version = kClusterVersion + 1;
  const auto of_newer = driver.machine->apply(Index(2), encode(NopView{}, newer));
  ASSERT_FALSE(of_newer.has_value());
  EXPECT_EQ(of_newer.error().code, Code::unsupported);
  EXPECT_EQ(driver.machine->digests(), before);
}

TEST(Register, DiffersInTheStateDigestByEachOfItsFields) {
  const auto digest_of = [](uint8_t number, uint64_t incarnation, uint32_t version,
                            std::string_view address, int before) {
    Driver driver;
    for (int i = 0; i < before; ++i) driver.apply(TransactionView{});  // index, nothing else
    driver.apply(AttachView{server(number), Incarnation(incarnation), version, address},
                 as_system());
    return driver.machine->digests().state;
  };
  std::set<std::pair<uint64_t, uint64_t>> all = {{0, 0}};
  for (const Hash128& each :
       {digest_of(1, 1, 1, "a", 0), digest_of(2, 1, 1, "a", 0), digest_of(1, 2, 1, "a", 0),
        digest_of(1, 1, 2, "a", 0), digest_of(1, 1, 1, "b", 0), digest_of(1, 1, 1, "a", 1)}) {
    EXPECT_TRUE(all.emplace(each.low, each.high).second);
  }
  Booted cluster;
  cluster.reconcile({cluster.update(cluster.s1, 2)});
  Register changed = cluster.machine->members();
  const Hash128 before = changed.digest();
  Member member = *changed.find(server(2));
  member.removed = true;
  changed.put(member);
  EXPECT_NE(changed.digest(), before);
  changed.erase(server(2));
  member.removed = false;
  changed.put(member);
  EXPECT_EQ(changed.digest(), before);
}

std::string booted_image(Booted& cluster) {
  cluster.reconcile({cluster.update(cluster.s1, 2), cluster.update(cluster.s2, 3)});
  cluster.set(cluster.s1, -1, "");
  return write_image(*cluster.machine);
}

TEST(Register, SurvivesAnImageWithTheSlots) {
  Booted cluster;
  const std::string image = booted_image(cluster);
  Cluster loaded;
  const Result<void> done = load_image(*loaded.machine, image, 3);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_EQ(loaded.machine->digests(), cluster.machine->digests());
  EXPECT_EQ(loaded.machine->members().entries(), cluster.machine->members().entries());
  EXPECT_TRUE(loaded.member(2).removed);
  EXPECT_EQ(loaded.slots(), cluster.slots());
  EXPECT_EQ(outcome(loaded.reconcile({loaded.update(cluster.s1, 4)})), "ok");
}

/// The image with `bytes` in place of the first `found`, and the head's checksum put right.
std::string patched(std::string image, const std::string& found, const std::string& bytes) {
  const size_t at = image.find(found);
  CHECK(at != std::string::npos && found.size() == bytes.size());
  image.replace(at, bytes.size(), bytes);
  const size_t head = ByteReader(std::string_view(image).substr(12)).u32();
  overwrite_u32(image, 16, crc32c(std::string_view(image).substr(kImagePreambleBytes, head)));
  return image;
}

TEST(Register, AnImageWhoseRegisterCannotBeOrDiffersIsCorrupt) {
  Booted cluster;
  const std::string image = booted_image(cluster);
  const std::string entry(server(2).view());
  const std::string after = entry + "\x01\x01";  // incarnation, version
  struct Case {
    const char* what;
    std::string found;
    std::string bytes;
    const char* message;
  };
  for (const Case& each : std::vector<Case>{
           {"same twice", entry, std::string(server(1).view()), "image: entry 1 of the register"},
           {"out of order", entry, std::string(server(9).view()), "image: entry 2 of the register"},
           {"none", std::string(server(1).view()), std::string(10, '\0'), "without identity"},
           {"incarnation 0", after, entry + std::string("\0\x01", 2), "an entry of the register"},
           {"version 0", after, entry + std::string("\x01\0", 2), "an entry of the register"},
           {"another incarnation", after, entry + "\x02\x01", "digest"},
           {"of an index to come", after + "\x02", after + "\x7F", "entry 1 of the register"},
           {"of one index twice", after + "\x02", after + "\x01", "entry 1 of the register"},
           {"not removed", after + "\x02\x01", after + std::string("\x02\0", 2), "digest"},
           {"a flag that is none", after + "\x02\x01", after + "\x02\x02",
            "an entry of the register"},
           {"another address", after + "\x02\x01\x06host:1", after + "\x02\x01\x06host:2",
            "digest"},
           {"too many", "\x05" + std::string(server(1).view()),
            "\x41" + std::string(server(1).view()), "65 entries of the register"}}) {
    const Result<void> loaded =
        load_image(*Machine::make({}), patched(image, each.found, each.bytes), 64);
    ASSERT_FALSE(loaded.has_value()) << each.what;
    EXPECT_EQ(loaded.error().code, Code::corrupt) << each.what;
    EXPECT_NE(loaded.error().message.find(each.message), std::string::npos)
        << each.what << ": " << loaded.error().message;
  }
}

TEST(Slots, AnImageWithMoreThanTheLimitIsCorrupt) {
  Cluster cluster;
  for (size_t i = 0; i < kSlotsMax; ++i) cluster.system_set(slot(static_cast<int>(i)), "");
  cluster.set("/ctl/cal.a", -1, "");  // becomes one slot more
  std::string image = write_image(*cluster.machine);
  const std::string path = "\x0A/ctl/cal.a";
  size_t at = image.find(path);   // among the events of the head
  at = image.find(path, at + 1);  // the file
  ASSERT_NE(at, std::string::npos);
  // Before all others in byte order, since '.' < '/': the order of files stays.
  image.replace(at, path.size(), "\x0A/ctl/cal/!");
  const Result<void> loaded = load_image(*Machine::make({}), image, 64);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().message, "image: more than 32 slots");
}

TEST(Image, AnotherFormatIsNamedAndUnsupported) {
  const std::string image = write_image(*Driver().machine);
  for (const char format : {'\0', '\x01', '\x03'}) {
    std::string other = image;
    other[kImageMagic.size()] = format;
    const Result<void> loaded = load_image(*Machine::make({}), other, 64);
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().code, Code::unsupported);
    EXPECT_EQ(loaded.error().message, "image: format " + std::to_string(int{format}) +
                                          " is not 2, the one that this build knows");
  }
}

}  // namespace
}  // namespace doozer::core

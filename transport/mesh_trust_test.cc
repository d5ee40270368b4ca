// Who may be a peer: secrets, clusters, disks that were copied or rolled back, strangers.

#include "transport/frame.h"
#include "transport/hello.h"
#include "transport/limits.h"
#include "transport/mesh_testing.h"

namespace doozer::transport {
namespace {

class MeshTrust : public MeshWorld {
 protected:
  /// Some line of the log tells this event and holds this text.
  bool logged(size_t i, std::string_view event, std::string_view text) {
    for (const std::string& line : node(i).log) {
      if (line.starts_with(event) && line.find(text) != std::string::npos) return true;
    }
    return false;
  }
};

TEST_F(MeshTrust, AWrongOrMissingSecretIsRefusedAndBothSidesSaySo) {
  for (const char* secret : {"open barley", ""}) {
    start(0, options(0));
    MeshOptions wrong = options(1);
    wrong.secret = secret;
    wrong.insecure_peers = true;
    start(1, wrong);
    run_for(3'000'000);
    EXPECT_FALSE(mesh(0).reachable(id(1)) || mesh(1).reachable(id(0)));
    EXPECT_TRUE(mesh(0).peers().empty()) << "nothing is believed of one who has not proven himself";
    EXPECT_GT(mesh(0).stats().refused + mesh(1).stats().refused, 0U);
    for (const size_t i : {0U, 1U}) {
      EXPECT_TRUE(logged(i, "peer_refuse", "the secret of server")) << i << secret;
      EXPECT_TRUE(logged(i, "peer_refuse", address(0))) << i << secret;
    }
    kill(0);
    kill(1);
  }
}

TEST_F(MeshTrust, WithoutAnyProofOnlyLoopbackPeersAreTaken) {
  for (const bool insecure : {false, true}) {
    for (size_t i = 0; i < 2; ++i) {
      MeshOptions open = options(i);
      open.secret.clear();
      open.insecure_peers = insecure;
      start(i, open);
    }
    run_for(2'000'000);
    EXPECT_EQ(mesh(0).reachable(id(1)), insecure);
    kill(0);
    kill(1);
  }
}

TEST_F(MeshTrust, WithAnAuthorityOnlyWhoShowsItsCertificateIsAPeer) {
  for (const size_t certified : {0U, 1U, 2U}) {
    if (certified > 0) network_->certify(host(certified - 1));
    for (size_t i = 0; i < 2; ++i) {
      MeshOptions each = options(i);
      each.certificates = true;
      if (certified == 2) each.secret.clear();
      start(i, each);
    }
    run_for(2'000'000);
    EXPECT_EQ(mesh(0).reachable(id(1)), certified == 2) << certified;
    EXPECT_EQ(mesh(1).reachable(id(0)), certified == 2) << certified;
    // The one that has none is refused, and hears of it.
    if (certified == 1) {
      EXPECT_TRUE(logged(1, "peer_refuses", "shows no certificate"));
    }
    kill(0);
    kill(1);
  }
}

TEST_F(MeshTrust, AnotherClusterIsRefusedAndBothAreNamed) {
  start(0, options(0));
  MeshOptions other = options(1);
  other.cluster = Identity::from_bytes("cluster--B");
  start(1, other);
  run_for(2'000'000);
  EXPECT_FALSE(mesh(0).reachable(id(1)));
  for (const size_t i : {0U, 1U}) {
    EXPECT_TRUE(logged(i, "peer_refuse", "code=other_cluster")) << i;
    EXPECT_TRUE(logged(i, "peer_refuse", cluster().to_string()));
    EXPECT_TRUE(logged(i, "peer_refuse", other.cluster.to_string()));
    EXPECT_TRUE(node(i).fatal.empty());
  }
}

TEST_F(MeshTrust, AFreshClusterAtAnAddressThatAnotherKnowsStops) {
  start_all(3);
  run_for(1'000'000);
  kill(2);
  // Its volume was not mounted: it has booted a second cluster at its old address.
  MeshOptions fresh = options(2);
  fresh.cluster = Identity::from_bytes("cluster--B");
  fresh.self = Identity::from_bytes("fresh-self");
  fresh.seeds.clear();
  fresh.booted_alone = true;
  start(2, fresh);
  ASSERT_TRUE(run_until([&] { return !node(2).fatal.empty(); }, 2'000'000));
  EXPECT_EQ(node(2).fatal[0].code, Code::conflict);
  EXPECT_NE(node(2).fatal[0].message.find(cluster().to_string()), std::string::npos);
  EXPECT_NE(node(2).fatal[0].message.find(fresh.cluster.to_string()), std::string::npos);
  EXPECT_TRUE(node(0).fatal.empty());
}

TEST_F(MeshTrust, AFreshClusterThatOnlyASeedNamesGoesOn) {
  MeshOptions fresh = options(1);
  fresh.cluster = Identity::from_bytes("cluster--B");
  fresh.seeds.clear();
  fresh.booted_alone = true;
  start(1, fresh);
  MeshOptions other = options(0);
  other.seeds = {address(1)};
  start(0, other);
  run_for(100'000);
  EXPECT_GT(mesh(1).stats().refused, 0U);
  EXPECT_TRUE(node(1).fatal.empty());
}

TEST_F(MeshTrust, ALowerIncarnationIsRefusedAndMustStop) {
  start_all(2);
  start(2, options(2, 5));
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  kill(2);
  run_for(10'000);
  start(2, options(2, 4));
  ASSERT_TRUE(run_until([&] { return !node(2).fatal.empty(); }, 2'000'000));
  EXPECT_FALSE(mesh(0).reachable(id(2)));
  EXPECT_NE(node(2).fatal[0].message.find("rolled back"), std::string::npos);
  EXPECT_NE(node(2).fatal[0].message.find(id(2).to_string()), std::string::npos);
  EXPECT_EQ(node(2).rolled_backs, 1) << "its directory must not be started again";
  EXPECT_TRUE(node(0).fatal.empty());
  EXPECT_TRUE(logged(0, "peer_refused", "code=rolled_back") ||
              logged(1, "peer_refused", "code=rolled_back"));
}

TEST_F(MeshTrust, ALowerIncarnationThanTheCacheTellsIsRefused) {
  MeshOptions knows = options(0);
  knows.known = {{id(1), address(1), Incarnation(9)}};
  start(0, knows);
  start(1, options(1, 8));
  ASSERT_TRUE(run_until([&] { return !node(1).fatal.empty(); }, 2'000'000));
  EXPECT_FALSE(mesh(0).reachable(id(1)));
}

TEST_F(MeshTrust, TwoLivesOfOneIncarnationBothStop) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  // A copy of server 2's disk starts at another address.
  MeshOptions copy = options(2);
  copy.advertise = address(3);
  copy.seed = 77;
  nodes_[3] = std::make_unique<Node>(*network_, hurts_, now(), copy, host(3));
  ASSERT_TRUE(
      run_until([&] { return !node(2).fatal.empty() && !node(3).fatal.empty(); }, 3'000'000));
  EXPECT_NE(node(2).fatal[0].message.find("one identity"), std::string::npos);
  EXPECT_EQ(node(2).rolled_backs + node(3).rolled_backs, 0);
  EXPECT_TRUE(node(0).fatal.empty() && node(1).fatal.empty());
}

TEST_F(MeshTrust, ALifeAgainstOneOfTheSameStartThatIsOverIsADiskThatWasSetBack) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  kill(2);
  run_for(1'000'000);
  MeshOptions again = options(2);
  again.seed = 77;
  start(2, again);
  ASSERT_TRUE(run_until([&] { return !node(2).fatal.empty(); }, 2'000'000));
  EXPECT_EQ(node(2).rolled_backs, 1);
  EXPECT_NE(node(2).fatal[0].message.find("rolled back"), std::string::npos);
}

TEST_F(MeshTrust, AnEarlierLifeThatDidNotHearOfItsSuccessorGoesAlone) {
  start_all(2);
  start(2, options(2, 5));
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  MeshOptions earlier = options(2, 4);
  earlier.advertise = address(3);
  nodes_[3] = std::make_unique<Node>(*network_, hurts_, now(), earlier, host(3));
  ASSERT_TRUE(run_until([&] { return !node(3).fatal.empty(); }, 2'000'000));
  EXPECT_EQ(node(3).rolled_backs, 0);
  run_for(1'000'000);
  EXPECT_TRUE(node(2).fatal.empty());
  EXPECT_TRUE(connected(3));
}

TEST_F(MeshTrust, ACopyThatStartedOnceMoreIsNotBelievedBesideTheOriginal) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  MeshOptions copy = options(2, 2);
  copy.advertise = address(3);
  nodes_[3] = std::make_unique<Node>(*network_, hurts_, now(), copy, host(3));
  bool believed = false;
  ASSERT_TRUE(run_until(
      [&] {
        for (const size_t i : {0U, 1U}) {
          believed |= node(i).peer(id(2)).incarnation != Incarnation(1);
        }
        return !node(2).fatal.empty() && !node(3).fatal.empty();
      },
      5'000'000));
  EXPECT_FALSE(believed);
  for (const size_t i : {2U, 3U}) {
    const std::string& why = node(i).fatal[0].message;
    EXPECT_NE(why.find("one identity"), std::string::npos) << why;
    EXPECT_NE(why.find(address(2)), std::string::npos) << why;
    EXPECT_NE(why.find(address(3)), std::string::npos) << why;
    EXPECT_EQ(node(i).rolled_backs, 0) << "nobody can tell which of the two is the good one";
  }
}

TEST_F(MeshTrust, ACopyFindsNobodyElseWhoTakesItForTheOriginal) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  // It waits for server 1, which knows the original from before its own restart.
  kill(1);
  run_for(100'000);
  MeshOptions copy = options(2, 2);
  copy.advertise = address(3);
  copy.seeds = {address(1)};
  nodes_[3] = std::make_unique<Node>(*network_, hurts_, now(), copy, host(3));
  MeshOptions again = options(1, 2);
  again.known = {{id(0), address(0), Incarnation(1)}, {id(2), address(2), Incarnation(1)}};
  again.seeds.clear();
  start(1, again);
  bool believed = false;
  ASSERT_TRUE(run_until(
      [&] {
        believed |= node(1).peer(id(2)).incarnation != Incarnation(1);
        return !node(3).fatal.empty();
      },
      5'000'000));
  EXPECT_FALSE(believed);
}

TEST_F(MeshTrust, WhatIsToldOfACopyIsNotBelievedByWhoHearsTheOriginal) {
  start(0, options(0));
  start(2, options(2));
  ASSERT_TRUE(run_until([&] { return mesh(0).linked(id(2)); }, 500'000));
  // Server 1 has never met the original, and takes the copy for it.
  for (const size_t i : {0U, 2U}) cut(1, i);
  start(1, options(1));
  MeshOptions copy = options(2, 2);
  copy.advertise = address(3);
  copy.seeds = {address(1)};
  nodes_[3] = std::make_unique<Node>(*network_, hurts_, now(), copy, host(3));
  cut(3, 0);
  cut(3, 2);
  ASSERT_TRUE(run_until([&] { return mesh(1).linked(id(2)); }, 500'000));
  heal(1, 0);
  ASSERT_TRUE(run_until([&] { return mesh(0).linked(id(1)); }, 3'000'000));
  bool believed = false;
  run_until(
      [&] {
        believed |= node(0).peer(id(2)).incarnation != Incarnation(1);
        return believed;
      },
      2'000'000);
  EXPECT_FALSE(believed);
  EXPECT_TRUE(node(2).fatal.empty());
}

TEST_F(MeshTrust, ARestartElsewhereIsBelievedOnceItsOldAddressIsFoundEmpty) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  kill(2);
  MeshOptions moved = options(2, 2);
  moved.advertise = address(3);
  nodes_[3] = std::make_unique<Node>(*network_, hurts_, now(), moved, host(3));
  ASSERT_TRUE(
      run_until([&] { return mesh(0).linked(id(2)) && mesh(1).linked(id(2)); }, kRivalUs / 2));
  EXPECT_TRUE(node(3).fatal.empty());
}

TEST_F(MeshTrust, ARestartOfAMachineThatVanishedIsBelievedOnceItsLinksAreDown) {
  start_all(3);
  ASSERT_TRUE(run_until([&] { return connected(3); }, 500'000));
  kill(2, true);
  run_for(20'000);
  start(2, options(2, 2));
  ASSERT_TRUE(run_until([&] { return connected(3); }, kRivalUs));
  EXPECT_TRUE(node(2).fatal.empty());
}

TEST_F(MeshTrust, AServerThatReachesItselfByASeedIsNoConflict) {
  MeshOptions alone = options(0);
  alone.seeds = {address(0)};
  start(0, alone);
  run_for(5'000'000);
  EXPECT_TRUE(node(0).fatal.empty());
  EXPECT_LE(mesh(0).stats().dials, 2U);
}

/// Says bytes of its own to a server.
struct Stranger final : env::StreamEvents {
  void on_connected() override { connected = true; }
  void on_bytes(std::string_view bytes) override { heard += bytes; }
  void on_end() override { ended = true; }
  void on_failed(const Error& /*error*/) override { failed = true; }
  std::unique_ptr<env::Stream> stream;
  std::string heard;
  bool connected = false;
  bool ended = false;
  bool failed = false;
};

TEST_F(MeshTrust, NonsenseEndsTheConnectionAndNothingElse) {
  start_all(2);
  ASSERT_TRUE(run_until([&] { return connected(2); }, 500'000));
  sim::SimClock clock({.start_us = now()});
  sim::SimNet net(*network_, clock, "10.0.9.9");
  std::string huge(kPreamble);
  huge += std::string("\xFF\xFF\xFF\x7F....\x01", 9);
  std::string early(kPreamble);
  append_frame(FrameType::message, "before any proof", early);
  std::string half(kPreamble);
  append_frame(FrameType::hello, "short", half);
  std::string welcome(kPreamble);
  append_frame(FrameType::welcome, "", welcome);
  const std::string texts[] = {std::string("\x80garbage"), huge, early, half, welcome,
                               std::string(kPreamble)};
  std::vector<std::unique_ptr<Stranger>> strangers;
  for (const std::string& text : texts) {
    strangers.push_back(std::make_unique<Stranger>());
    strangers.back()->stream = net.dial({.address = address(0)}, *strangers.back());
    strangers.back()->stream->write(text);
  }
  for (int i = 0; i < 200; ++i) {
    run_for(10'000);
    clock.run_until(now());
  }
  for (const auto& stranger : strangers) EXPECT_TRUE(stranger->ended || stranger->failed);
  EXPECT_TRUE(connected(2));
  EXPECT_EQ(mesh(0).stats().links_down, 0U);
}

/// Listens where a server is expected and refuses everybody without a proof.
struct Impostor final : env::AcceptEvents {
  void on_accept(std::unique_ptr<env::AcceptedStream> stream) override {
    strangers.push_back(std::make_unique<Stranger>());
    strangers.back()->stream = stream->attach(*strangers.back());
    std::string bytes(kPreamble);
    append_frame(FrameType::refusal, encode_refusal({RefusalCode::rolled_back, "stop!"}), bytes);
    strangers.back()->stream->write(bytes);
  }
  void on_refused(const Error& /*why*/, uint64_t /*count*/) override {}
  std::vector<std::unique_ptr<Stranger>> strangers;
};

TEST_F(MeshTrust, WhoHasNotProvenItselfCannotStopAServer) {
  sim::SimClock clock({.start_us = now()});
  sim::SimNet net(*network_, clock, host(1));
  Impostor impostor;
  const auto listener = std::move(*net.listen({.address = address(1)}, impostor));
  MeshOptions dials = options(0);
  dials.seeds = {address(1)};
  start(0, dials);
  for (int i = 0; i < 100; ++i) {
    run_for(10'000);
    clock.run_until(now());
  }
  EXPECT_GT(impostor.strangers.size(), 1U) << "it goes on dialling";
  EXPECT_TRUE(logged(0, "peer_refuses", "stop!"));
  EXPECT_TRUE(node(0).fatal.empty());
}

TEST_F(MeshTrust, HalfHandshakesAreBoundedAndPeersStillComeIn) {
  start(0, options(0));
  sim::SimClock clock({.start_us = now()});
  sim::SimNet net(*network_, clock, "10.0.9.9");
  std::vector<std::unique_ptr<Stranger>> strangers;
  for (size_t i = 0; i < 3 * kHandshakesMax; ++i) {
    strangers.push_back(std::make_unique<Stranger>());
    strangers.back()->stream = net.dial({.address = address(0)}, *strangers.back());
    strangers.back()->stream->write(std::string(kPreamble));
  }
  clock.run_until(now() + 1'000);
  run_for(1'000);
  clock.run_until(now() + 1'000);
  EXPECT_GE(mesh(0).stats().refused, 2 * kHandshakesMax);
  start(1, options(1));
  ASSERT_TRUE(run_until([&] { return connected(2); }, 4'000'000));
}

}  // namespace
}  // namespace doozer::transport

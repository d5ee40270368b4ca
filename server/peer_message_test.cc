// Every message comes back as it was; no bytes make trouble.
#include "server/peer_message.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "server/known_peers.h"

namespace doozer::server {
namespace {

Identity server(uint8_t number) {
  std::array<uint8_t, Identity::kSize> bytes{};
  bytes[0] = number;
  return Identity(bytes);
}

std::vector<std::string> samples() {
  const DigestAt digest{.index = Index(1024), .chain = {1, 2}, .state = {3, 4}};
  return {
      encode_peer_message(RaftBytes{.bytes = "core"}),
      encode_peer_message(Forward{
          .term = Term(7), .first = 3, .items = {{true, "one"}, {false, ""}, {false, "three"}}}),
      encode_peer_message(ForwardAck{
          .term = Term(7), .taken_to = 300, .refused = {{299, {Code::no_space, "full"}}}}),
      encode_peer_message(Health{.term = Term(7),
                                 .applied = Index(2000),
                                 .revision = Revision(1500),
                                 .full = true,
                                 .quarantined = false,
                                 .sound = true,
                                 .cluster_version = 2,
                                 .digests = {digest}}),
      encode_peer_message(Quarantine{.term = Term(7), .majority = digest}),
      encode_peer_message(SnapshotAsk{.index = Index(9), .term = Term(2), .first = 4, .count = 4}),
      encode_peer_message(SnapshotChunk{.index = Index(9),
                                        .term = Term(2),
                                        .number = 4,
                                        .last = true,
                                        .head = "head",
                                        .bytes = "bytes"}),
      encode_peer_message(SnapshotGone{.index = Index(9), .term = Term(2)}),
  };
}

TEST(PeerMessage, EachKindComesBackAsItWas) {
  for (const std::string& bytes : samples()) {
    const auto message = decode_peer_message(bytes);
    ASSERT_TRUE(message) << message.error().message;
    EXPECT_EQ(encode_peer_message(*message), bytes);
  }
  const auto all = samples();
  const auto forward = decode_peer_message(all[1]);
  const auto& items = std::get<Forward>(*forward).items;
  ASSERT_EQ(items.size(), 3U);
  EXPECT_TRUE(items[0].may_use_reserve);
  EXPECT_EQ(items[2].payload, "three");
  const auto health = decode_peer_message(all[3]);
  EXPECT_TRUE(std::get<Health>(*health).full);
  EXPECT_FALSE(std::get<Health>(*health).quarantined);
  EXPECT_EQ(std::get<Health>(*health).revision, Revision(1500));
}

TEST(PeerMessage, APrefixIsNoMessageAndNeitherIsOneWithMoreBehindIt) {
  for (const std::string& bytes : samples()) {
    if (bytes == samples()[0]) continue;  // the core's are checked by the core
    for (size_t size = 0; size < bytes.size(); ++size) {
      const auto message = decode_peer_message(std::string_view(bytes).substr(0, size));
      ASSERT_FALSE(message) << size;
      EXPECT_EQ(message.error().code, Code::corrupt);
    }
    EXPECT_FALSE(decode_peer_message(bytes + "x"));
  }
}

TEST(PeerMessage, AnUnknownKindIsOfANewerVersion) {
  const auto message = decode_peer_message("\x63more");
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, Code::unsupported);
  EXPECT_EQ(message.error().message, "peer message: kind 99 is not known");
}

TEST(PeerMessage, DamagedBytesNeverReachACheck) {
  Rng rng(1);
  for (int round = 0; round < 20'000; ++round) {
    const auto all = samples();
    std::string bytes = all[rng.below(all.size())];
    for (uint64_t flips = 1 + rng.below(3); flips > 0; --flips) {
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.next());
    }
    const auto message = decode_peer_message(bytes);
    if (message) encode_peer_message(*message);
  }
}

TEST(PeerMessage, ASnapshotsHeadComesBackWithoutTheSendersNames) {
  const storage::SnapshotHeader header{
      .cluster = server(1),
      .identity = server(2),
      .point = {.index = Index(500),
                .term = Term(3),
                .configuration = {.voters = {server(2), server(4)}, .old_voters = {server(2)}}},
      .cluster_version = 1,
      .revision = Revision(400),
      .chain_digest = {1, 2},
      .state_digest = {3, 4}};
  const std::string bytes = encode_snapshot_head(header);
  const auto decoded = decode_snapshot_head(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  storage::SnapshotHeader expected = header;
  expected.cluster = {};
  expected.identity = {};
  EXPECT_EQ(*decoded, expected);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_snapshot_head(std::string_view(bytes).substr(0, size)));
  }
}

TEST(KnownPeers, TheFileComesBackAsItWasAndABadLineIsNamed) {
  const std::vector<transport::KnownPeer> known = {
      {.identity = server(1), .address = "127.0.0.1:8046", .incarnation = Incarnation(3)},
      {.identity = server(2), .address = "[::1]:8047", .incarnation = Incarnation(1)}};
  const std::string text = print_known_peers(known);
  const auto parsed = parse_known_peers(text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, known);
  EXPECT_TRUE(parse_known_peers("")->empty());
  const std::string id = server(1).to_string();
  const std::pair<std::string, std::string> bad[] = {
      {"nonsense\n", "peers:1: \"nonsense\": not an identity, a number and an address"},
      {id + " 1 a:1\n" + id + " x a:1\n",
       "peers:2: \"" + id + " x a:1\": its incarnation is no number"},
      {id + " 1 \n", "peers:1: \"" + id + " 1 \": it has no address"},
      {id + " 1 a:1", "peers:1: the line has no end"},
  };
  for (const auto& [file, message] : bad) {
    const auto result = parse_known_peers(file);
    ASSERT_FALSE(result) << file;
    EXPECT_EQ(result.error().message, message);
  }
}

}  // namespace
}  // namespace doozer::server

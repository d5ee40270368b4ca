#include "server/known_peers.h"

#include <charconv>

#include "base/bytes.h"
#include "base/limits.h"

namespace doozer::server {
namespace {

constexpr std::string_view kFile = "peers";
constexpr size_t kFileBytesMax = 64 * kKiB;

Result<transport::KnownPeer> parse_line(std::string_view line, size_t number) {
  const auto bad = [&](std::string_view why) {
    return fail(Code::corrupt, std::string(kFile) + ":" + std::to_string(number) + ": " +
                                   quote(line) + ": " + std::string(why));
  };
  const size_t first = line.find(' ');
  const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return bad("not an identity, a number and an address");
  transport::KnownPeer peer;
  auto identity = Identity::parse(line.substr(0, first));
  if (!identity) return bad(identity.error().message);
  peer.identity = *identity;
  const std::string_view digits = line.substr(first + 1, second - first - 1);
  uint64_t incarnation = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), incarnation);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return bad("its incarnation is no number");
  }
  peer.incarnation = Incarnation(incarnation);
  peer.address = std::string(line.substr(second + 1));
  if (peer.address.empty()) return bad("it has no address");
  return peer;
}

}  // namespace

std::string print_known_peers(const std::vector<transport::KnownPeer>& known) {
  std::string text;
  for (const transport::KnownPeer& peer : known) {
    text += peer.identity.to_string() + " " + std::to_string(peer.incarnation.value()) + " " +
            peer.address + "\n";
  }
  return text;
}

Result<std::vector<transport::KnownPeer>> parse_known_peers(std::string_view text) {
  std::vector<transport::KnownPeer> known;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      return fail(Code::corrupt,
                  std::string(kFile) + ":" + std::to_string(number) + ": the line has no end");
    }
    if (known.size() == kServersMax) {
      return fail(Code::corrupt,
                  std::string(kFile) + ": more than " + std::to_string(kServersMax) + " servers");
    }
    TRY_ASSIGN(auto peer, parse_line(text.substr(0, end), number));
    known.push_back(std::move(peer));
    text.remove_prefix(end + 1);
  }
  return known;
}

Result<std::vector<transport::KnownPeer>> read_known_peers(env::Disk& disk) {
  TRY_ASSIGN(const bool exists, disk.exists(kFile));
  if (!exists) return std::vector<transport::KnownPeer>();
  TRY_ASSIGN(const std::string text, env::read_file(disk, kFile, kFileBytesMax));
  return parse_known_peers(text);
}

Result<void> write_known_peers(env::Disk& disk, const std::vector<transport::KnownPeer>& known) {
  return env::replace_file(disk, "", kFile, print_known_peers(known));
}

}  // namespace doozer::server

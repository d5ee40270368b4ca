#include "transport/connection_pool.h"

#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/sha256.h"
#include "transport/limits.h"

namespace doozer::transport {

Connection& ConnectionPool::dial(env::DialOptions options, const std::string& address, Role role,
                                 const Identity& expected) {
  options.address = address;
  const uint64_t id = ++last_id_;
  auto& place = all_[id];
  place = std::make_unique<Connection>(id, owner_, net_, std::move(options), role, expected);
  return *place;
}

bool ConnectionPool::too_many_unproven() const {
  size_t unproven = 0;
  for (const auto& [id, connection] : all_) {
    if (!connection->dialled() && !connection->proven() && !connection->dead()) ++unproven;
  }
  return unproven >= kHandshakesMax;
}

bool ConnectionPool::accept(env::AcceptedStream& accepted) {
  if (too_many_unproven()) return false;
  const uint64_t id = ++last_id_;
  auto& place = all_[id];
  place = std::make_unique<Connection>(id, owner_, accepted);
  place->begin({});
  return true;
}

bool ConnectionPool::adopt(std::unique_ptr<env::Stream> stream, const std::string& first_bytes) {
  if (too_many_unproven()) return false;
  const uint64_t id = ++last_id_;
  auto& place = all_[id];
  place = std::make_unique<Connection>(id, owner_, std::move(stream));
  place->begin(first_bytes);
  return true;
}

void ConnectionPool::tick() {
  // A handshake that ends may begin another dial: the new one needs no tick.
  for (auto it = all_.begin(); it != all_.end(); ++it) it->second->tick();
}

void ConnectionPool::reap() {
  std::erase_if(all_, [](const auto& entry) { return entry.second->dead(); });
}

void ConnectionPool::cut_all() {
  for (auto& [id, connection] : all_) connection->cut();
}

Nonces::Nonces(std::string_view secret, const Identity& self, Incarnation incarnation,
               uint64_t seed) {
  std::string text(self.view());
  ByteWriter writer(text);
  writer.u64(incarnation.value());
  writer.u64(seed);
  key_ = hmac_sha256(secret, text);
  const std::string life = hmac_sha256(key_, "life");
  std::memcpy(&life_, life.data(), sizeof life_);
  life_ |= 1U;
}

std::array<uint8_t, kNonceBytes> Nonces::next() {
  std::string text = "nonce";
  ByteWriter(text).u64(++count_);
  const std::string bytes = hmac_sha256(key_, text);
  std::array<uint8_t, kNonceBytes> nonce{};
  std::memcpy(nonce.data(), bytes.data(), nonce.size());
  return nonce;
}

}  // namespace doozer::transport

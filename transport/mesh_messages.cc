// What the mesh carries: messages of its owner, heartbeats, and what it passes on for others.

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "transport/mesh_impl.h"

namespace doozer::transport {

void Mesh::Impl::send(const Identity& to, Channel channel, std::string payload) {
  if (stopped_) return;
  if (payload.size() > kMessageBytesMax) {
    ++stats_.dropped_too_large;
    if (pace_.may(now_us())) logger_.error("message_too_large", {{"bytes", payload.size()}});
    return;
  }
  const Peer* const peer = peers_.find(to);
  if (peer == nullptr) {
    ++stats_.dropped_unreachable;
    return;
  }
  const bool bulk = channel == Channel::bulk || payload.size() > kPartBytesMax;
  Outbox::Item item;
  item.to = to;
  item.to_incarnation = peer->incarnation;
  item.parts = bulk;
  item.message = bulk ? ++last_message_ : 0;
  item.payload = std::move(payload);
  enqueue(std::move(item), bulk ? EdgesFor::bulk : EdgesFor::control, nullptr);
}

// Finds the next server and puts the item into its outbox; or drops it, counted.
void Mesh::Impl::enqueue(Outbox::Item item, EdgesFor use, const Peer* not_over) {
  const bool bulk = use == EdgesFor::bulk;
  const bool ours = item.from.none();
  const Route* const way = route(item.to, use);
  Peer* const next = way == nullptr ? nullptr : peers_.find(way->next);
  // Back to where it came from would be a loop: routes differ while changes spread.
  if (next == nullptr || next == not_over) {
    ++stats_.dropped_unreachable;
    return;
  }
  Outbox& out = bulk ? next->bulk_out : next->control_out;
  if (ours) {
    const bool direct = way->next == item.to;
    item.type = direct ? (bulk ? FrameType::part : FrameType::message)
                       : (bulk ? FrameType::relayed_part : FrameType::relayed);
    item.envelope.clear();
    if (!direct) {
      item.envelope = encode_envelope({.cluster = self_.cluster,
                                       .from = self_.identity,
                                       .to = item.to,
                                       .from_incarnation = self_.incarnation,
                                       .to_incarnation = item.to_incarnation,
                                       .hops_left = kHopsMax});
    }
  } else {
    const Pair pair{item.from, item.to};
    if (!bulk && !ledger_.admits(pair, item.payload.size())) {
      for (const auto& [id, peer] : peers_.all()) {
        stats_.dropped_relay_full += peer->bulk_out.drop_pair(pair);
      }
    }
    if (bulk ? !ledger_.admits_part(pair, item.payload.size(), item.message, item.first)
             : !ledger_.admits(pair, item.payload.size())) {
      ++stats_.dropped_relay_full;
      return;
    }
  }
  if (out.bytes() + item.payload.size() > (bulk ? kBulkQueueBytesMax : kControlQueueBytesMax)) {
    ++(ours ? stats_.dropped_queue_full : stats_.dropped_relay_full);
    return;
  }
  ++(ours ? stats_.messages_sent : stats_.frames_relayed);
  out.push(std::move(item));
}

// What waited for a link that is no more goes another way, but for a message of which a part has
// left already, or that was meant for an older life of its addressee.
void Mesh::Impl::enqueue_again(std::deque<Outbox::Item> items, EdgesFor use) {
  for (Outbox::Item& item : items) {
    if (item.sent > 0) {
      ++stats_.dropped_unreachable;
      continue;
    }
    const Peer* const to = peers_.find(item.to);
    if (item.from.none() && (to == nullptr || to->incarnation != item.to_incarnation)) {
      ++stats_.dropped_incarnation;
      continue;
    }
    --(item.from.none() ? stats_.messages_sent : stats_.frames_relayed);
    enqueue(std::move(item), use, nullptr);
  }
}

void Mesh::Impl::flush(Peer& peer) {
  flush_one(peer.control, peer.control_out, kControlUnsentBytes, kControlBytesPerTurn);
  flush_one(peer.bulk, peer.bulk_out, kBulkUnsentBytes, kBulkBytesPerTurn);
}

void Mesh::Impl::flush_one(Connection* connection, Outbox& out, size_t unsent_max,
                           size_t bytes_max) {
  if (connection == nullptr || out.empty()) return;
  if (connection->unsent() >= unsent_max) return;  // on_progress() comes
  std::string frames;
  out.fill(frames, bytes_max);
  stats_.bytes_sent += frames.size();
  connection->write(std::move(frames));
  // If all was taken, nothing would wake us for the rest.
  if (!out.empty() && connection->unsent() < unsent_max) more_to_send_ = true;
}

void Mesh::Impl::send_beat(Peer& peer) {
  Beat beat = peer.health.make_beat(now_us());
  if (peer.bulk != nullptr) {
    beat.bulk_tag = peer.bulk->tag();
    beat.bulk_received = peer.bulk->bytes_received();
  }
  peer.control_out.push_urgent(FrameType::beat, encode_beat(beat));
}

void Mesh::Impl::on_beat(Peer& peer, std::string_view body) {
  const Result<Beat> beat = decode_beat(body);
  if (!beat) return;  // of a newer version, perhaps
  const uint64_t now = now_us();
  peer.health.on_beat(*beat, now);
  const bool was_up = peer.health.up();
  // Behind this one a newer one may wait: only check_link() takes a link down.
  if (!was_up && peer.health.update(now, bytes_stuck(peer, now))) set_up(peer, true, {});
  if (peer.bulk != nullptr && beat->bulk_tag == peer.bulk->tag() &&
      beat->bulk_received > peer.bulk_acknowledged) {
    peer.bulk_acknowledged = beat->bulk_received;
    peer.bulk_progress_us = now;
  }
  // A link comes up within a round trip or two, not within heartbeats.
  const bool quick = !was_up && peer.health.take_quick_answer();
  if (std::exchange(peer.answer_next, false) || quick) send_beat(peer);
}

void Mesh::Impl::on_relayed(Peer& via, FrameType type, std::string_view body) {
  const bool bulk = type == FrameType::relayed_part;
  std::string_view inner = body;
  const Result<Envelope> envelope = take_envelope(inner);
  if (!envelope || envelope->cluster != self_.cluster) {
    ++stats_.dropped_incarnation;
    return;
  }
  if (envelope->to != self_.identity) {
    if (envelope->hops_left == 0 || envelope->from == self_.identity) {
      ++stats_.dropped_hops;
      return;
    }
    Outbox::Item item;
    item.type = type;
    item.from = envelope->from;
    item.to = envelope->to;
    if (bulk) {
      const Result<PartView> part = decode_part(inner);
      if (!part) return;
      item.message = part->message;
      item.first = part->offset == 0;
    }
    item.payload = with_hop_less(body);
    enqueue(std::move(item), bulk ? EdgesFor::bulk : EdgesFor::control, &via);
    return;
  }
  Peer* const from = peers_.find(envelope->from);
  if (from == nullptr || envelope->to_incarnation != self_.incarnation ||
      envelope->from_incarnation != from->incarnation) {
    ++stats_.dropped_incarnation;
    return;
  }
  from->heard_us = now_us();
  if (bulk) {
    on_part(from->identity, envelope->from_incarnation, inner);
    return;
  }
  ++stats_.messages_received;
  events_.on_message(from->identity, envelope->from_incarnation, Channel::control, inner);
}

void Mesh::Impl::on_part(const Identity& from, Incarnation incarnation, std::string_view body) {
  const Result<PartView> part = decode_part(body);
  if (!part) return;
  const auto whole = reassembly_.add(from, incarnation, *part, now_us());
  if (!whole) return;
  ++stats_.messages_received;
  events_.on_message(from, incarnation, Channel::bulk, *whole);
}

}  // namespace doozer::transport

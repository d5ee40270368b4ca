// The options of every TCP socket of ours.
#pragma once

namespace doozer::io {

/// No Nagle delay; keep-alive probes, so that a peer whose machine vanished is noticed after about
/// two minutes. Accepted sockets inherit both from their listener.
void set_stream_options(int fd);

}  // namespace doozer::io

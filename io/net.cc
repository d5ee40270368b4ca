#include "io/net.h"

#include "io/listener.h"
#include "io/socket_stream.h"

namespace doozer::io {

Result<std::unique_ptr<env::Listener>> RealNet::listen(const env::ListenOptions& options,
                                                       env::AcceptEvents& events) {
  TRY_ASSIGN(std::unique_ptr<env::Listener> listener, SocketListener::open(loop_, options, events));
  return listener;
}

std::unique_ptr<env::Stream> RealNet::dial(const env::DialOptions& options,
                                           env::StreamEvents& events) {
  return std::make_unique<SocketStream>(loop_, options, events);
}

}  // namespace doozer::io

import Glibc
import NIOCore
import NIOPosix

/// Makes a loop go once through its selector before it calls back: sockets that are ready are served in between.
///
/// A task given to the loop would run before the selector is asked again; a byte in a pipe has to be selected.
final class LoopWake {
    private let readEnd: CInt
    private let writeEnd: CInt
    private let eventLoop: any EventLoop
    private var channel: (any Channel)?
    private var isSignalled = false

    /// - Throws: `IOError` when no pipe can be had.
    init(eventLoop: any EventLoop) throws {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw IOError(errnoCode: errno, reason: "pipe") }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        readEnd = ends[0]
        writeEnd = ends[1]
        self.eventLoop = eventLoop
    }

    deinit { close(writeEnd) }

    /// Calls `woken` on the loop after each signal.
    func start(_ woken: @escaping @Sendable () -> Void) -> EventLoopFuture<Void> {
        let handler = NIOLoopBoundBox(Handler(owner: self, woken: woken), eventLoop: eventLoop)
        return NIOPipeBootstrap(group: eventLoop)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 16))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(handler.value)
                }
            }
            .takingOwnershipOfDescriptor(input: readEnd)
            .map { channel in handler.value.owner.channel = channel }
    }

    /// Asks for one call back; several before it happens count as one.
    func signal() {
        guard !isSignalled else { return }
        isSignalled = true
        var byte: UInt8 = 1
        // A full pipe cannot be: one byte is under way at most.
        _ = write(writeEnd, &byte, 1)
    }

    func stop() { channel?.close(promise: nil) }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let owner: LoopWake
        let woken: @Sendable () -> Void

        init(owner: LoopWake, woken: @escaping @Sendable () -> Void) {
            self.owner = owner
            self.woken = woken
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            owner.isSignalled = false
            woken()
        }
    }
}

import Retrieval
import Synchronization

/// The newest overlay of each generation that may answer; any thread.
///
/// Who takes a generation up looks here, so that it never begins with less than others have said already.
package final class OverlayBoard: Sendable {
    private let overlays = Mutex<[UInt64: ItemOverlay]>([:])

    package init() {}

    /// The overlay of a generation; an empty one where nothing has changed.
    package func overlay(of generation: Generation) -> ItemOverlay {
        overlays.withLock { $0[generation.number] } ?? ItemOverlay(of: generation.model)
    }

    package func set(_ overlays: [UInt64: ItemOverlay]) { self.overlays.withLock { $0 = overlays } }
}

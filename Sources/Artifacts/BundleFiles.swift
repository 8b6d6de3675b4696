import Synchronization

/// The tensor files of a bundle while several threads open them.
final class BundleFiles: Sendable {
    private let files = Mutex<[String: TensorFile]>([:])

    func add(_ name: String, _ file: TensorFile) { files.withLock { $0[name] = file } }

    var all: [String: TensorFile] { files.withLock { $0 } }
}

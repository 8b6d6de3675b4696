import Foundation
import Synchronization

/// The files of small bundles that many tests want: training them anew would be most of those tests' work.
final class KeptFolders: Sendable {
    struct Key: Hashable, Sendable {
        var name: String
        var seed: UInt64
    }

    /// By path inside of the folder in which they were made.
    private typealias Files = [String: Data]

    static let shared = KeptFolders()

    private let kept = Mutex<[Key: Files]>([:])

    /// Writes what is kept; false: nothing is.
    func write(_ key: Key, into folder: String) throws -> Bool {
        guard let files = kept.withLock({ $0[key] }) else { return false }
        for (path, bytes) in files {
            let file = URL(fileURLWithPath: "\(folder)/\(path)")
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try bytes.write(to: file)
        }
        return true
    }

    /// Keeps the files of folders inside `folder`.
    func keep(_ key: Key, _ names: [String], of folder: String) throws {
        var files: Files = [:]
        for name in names {
            for inside in try FileManager.default.subpathsOfDirectory(atPath: "\(folder)/\(name)") {
                let path = "\(name)/\(inside)"
                var isFolder: ObjCBool = false
                _ = FileManager.default.fileExists(atPath: "\(folder)/\(path)", isDirectory: &isFolder)
                if !isFolder.boolValue { files[path] = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(path)")) }
            }
        }
        kept.withLock { [files] in $0[key] = files }
    }
}

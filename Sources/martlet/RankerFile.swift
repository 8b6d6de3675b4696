import Artifacts
import Foundation
import RankingModels

/// A ranker's file that a command writes: looked at before the work, written beside its place, moved there when it is whole.
enum RankerFile {
    /// - Throws: `ArtifactError` when something stands there, or nothing can be written there.
    static func check(_ path: String) throws {
        if FileManager.default.fileExists(atPath: path) {
            throw ArtifactError(.alreadyExists, path: path, "it is there already; remove it or name another file")
        }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw ArtifactError(.notFound, path: path, "\(folder) is no folder; make it, or name another place")
        }
        guard FileManager.default.isWritableFile(atPath: folder) else {
            throw ArtifactError(.system, path: path, "\(folder) cannot be written to; name another place")
        }
    }

    /// Leaves nothing behind where it fails.
    static func write(_ ranker: RankerArtifact, to path: String) throws {
        let partial = "\(path).partial-\(ProcessInfo.processInfo.processIdentifier)"
        do {
            try ranker.write(to: TensorFileWriter(path: partial, metadata: ranker.metadata))
            try FileManager.default.moveItem(atPath: partial, toPath: path)
        } catch {
            try? FileManager.default.removeItem(atPath: partial)
            throw error
        }
    }

    /// Hands over a file that stands at `path` when `body` is done, and nowhere where it fails.
    static func writing<Result>(to path: String, _ body: (FileHandle) throws -> Result) throws -> Result {
        let partial = "\(path).partial-\(ProcessInfo.processInfo.processIdentifier)"
        guard FileManager.default.createFile(atPath: partial, contents: nil),
            let handle = FileHandle(forWritingAtPath: partial)
        else { throw ArtifactError(.system, path: path, "it cannot be created; name another place") }
        do {
            let result = try body(handle)
            try handle.close()
            try FileManager.default.moveItem(atPath: partial, toPath: path)
            return result
        } catch {
            try? handle.close()
            try? FileManager.default.removeItem(atPath: partial)
            throw error
        }
    }
}

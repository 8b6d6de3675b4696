import Artifacts
import Foundation
import Serving
import Wire

/// The folder that holds a node's bundles, and the rule that nothing outside it is opened for a caller.
struct ModelsFolder {
    let root: String

    /// Most bundles that a listing shows.
    private static let listedMax = 1000

    /// The path of a bundle that a caller named.
    ///
    /// - Throws: `Rejection` when the name leads out of the folder, also through a link, or to nothing.
    func path(of relative: String) throws -> String {
        func denied() -> Rejection {
            Rejection(.permissionDenied, "'\(relative)' is not inside the models root; give a path relative to it")
        }
        guard !relative.hasPrefix("/"), !relative.split(separator: "/").contains(".."), !relative.contains("\0") else {
            throw denied()
        }
        guard let realRoot = Self.resolved(root) else {
            throw Rejection(.failedPrecondition, "the models root is not there")
        }
        guard let real = Self.resolved(root + "/" + relative) else {
            throw Rejection(.failedPrecondition, "no bundle '\(relative)' under the models root")
        }
        guard real.hasPrefix(realRoot + "/") else { throw denied() }
        return real
    }

    /// The bundles in the folder, a line each; one that cannot be read says why. A folder without a manifest is none.
    func list(serving: Generation?) -> [ModelInfo] {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).sorted()
        var result: [ModelInfo] = []
        for name in names where result.count < Self.listedMax && !name.hasPrefix(".") && !name.contains(".staging-") {
            let path = root + "/" + name
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue,
                Self.mayBeBundle(path)
            else { continue }
            var info = ModelInfo()
            info.path = name
            do {
                let bundle = try Artifacts.Bundle(opening: path, verify: .sizes)
                let manifest = bundle.manifest
                info.name = manifest.name
                info.version = manifest.version
                info.created = manifest.created
                info.users = UInt64(manifest.counts.users)
                info.items = UInt64(manifest.counts.items)
                info.interactions = UInt64(manifest.counts.interactions)
                info.bytes = manifest.files.reduce(0) { $0 + UInt64($1.bytes) }
            } catch {
                info.fault = "\(error)"
            }
            if let serving, Self.resolved(serving.path) == Self.resolved(path) {
                info.serving = true
                info.generation = serving.number
            }
            result.append(info)
        }
        return result
    }

    /// False where there surely is no manifest; a folder that may not be looked into is listed with that fault.
    private static func mayBeBundle(_ path: String) -> Bool {
        var information = stat()
        return lstat("\(path)/\(Manifest.fileName)", &information) == 0 || errno != ENOENT
    }

    private static func resolved(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }
}

import CZlib
import Foundation
import Testing

@testable import Training

/// A folder of its own for a test, gone when the test is over.
final class ScratchFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = "\(path)/\(name)"
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }

    func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }

    /// Writes `bytes` as one gzip member.
    func writeGzip(_ name: String, _ bytes: [UInt8], append: Bool = false) throws -> String {
        let file = "\(path)/\(name)"
        let handle = try #require(gzopen(file, append ? "ab" : "wb"))
        if !bytes.isEmpty { #expect(gzwrite(handle, bytes, UInt32(bytes.count)) == Int32(bytes.count)) }
        #expect(gzclose(handle) == Z_OK)
        return file
    }
}

/// One entry by name, to compare imports with what they should be.
struct NamedPair: Hashable, Comparable, CustomStringConvertible {
    var user: String
    var item: String
    var value: Float = 1
    var time: Int64?
    var repeats: UInt32 = 1

    static func < (a: NamedPair, b: NamedPair) -> Bool { (a.user, a.item) < (b.user, b.item) }
    var description: String { "\(user)/\(item)=\(value)@\(time.map(String.init) ?? "-")x\(repeats)" }
}

extension Interactions {
    /// All entries by name, users in row order, each user's in their order.
    var named: [NamedPair] {
        (0..<userCount).flatMap { user in
            range(of: user).map { place in
                NamedPair(
                    user: users.string(UInt32(user)), item: items.string(itemRows[place]), value: values[place],
                    time: times?[place], repeats: repeats?[place] ?? 1)
            }
        }
    }
}

/// Imports the file at `path`.
func imported(_ path: String, _ options: ImportOptions = ImportOptions()) throws -> Interactions {
    try InteractionImporter(options).read(path).interactions
}

/// The message with which the import of `path` fails.
func failure(_ path: String, _ options: ImportOptions = ImportOptions()) -> DatasetError? {
    do {
        _ = try InteractionImporter(options).read(path)
        return nil
    } catch {
        return error as? DatasetError
    }
}

/// Real data for tests: `../shared/data` beside the package, or where `MARTLET_DATA` says.
enum RealData {
    static let root: String =
        ProcessInfo.processInfo.environment["MARTLET_DATA"]
        ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("../shared/data").standardized.path

    static func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(root)/\(name)") }
    static func comment(_ name: String) -> Comment {
        "needs the data set \(name) (\(root)/\(name); MARTLET_DATA names the folder)"
    }
}

func readBytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

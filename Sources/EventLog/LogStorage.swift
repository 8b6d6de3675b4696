/// The folder of a log. What a disk can do, so that tests can put one in its place that fails.
package protocol LogStorage: AnyObject, Sendable {
    /// For messages.
    var path: String { get }
    /// The names of all files, in no order.
    func names() throws(LogError) -> [String]
    /// The whole of a file.
    func read(_ name: String) throws(LogError) -> [UInt8]
    /// Bytes of a file from a place on, fewer where it ends.
    func read(_ name: String, from offset: Int, count: Int) throws(LogError) -> [UInt8]
    func size(_ name: String) throws(LogError) -> Int
    /// A new, empty file; an error where there is one of that name.
    func create(_ name: String) throws(LogError) -> any LogFile
    func truncate(_ name: String, to bytes: Int) throws(LogError)
    func remove(_ name: String) throws(LogError)
    /// Gives a file another name, in the place of the file of that name.
    func rename(_ name: String, to other: String) throws(LogError)
    /// Waits until the names are on disk.
    func synchronizeNames() throws(LogError)
    /// Makes this process the only writer, until `unlock` or its end.
    func lock() throws(LogError)
    func unlock()
    /// Puts a note where the next process finds it, should this one be killed. Not synced.
    func note(_ bytes: [UInt8], as name: String)
}

extension LogStorage {
    /// The first bytes of a file, fewer where it ends.
    func read(_ name: String, first count: Int) throws(LogError) -> [UInt8] { try read(name, from: 0, count: count) }
}

/// A file that grows at its end. One thread.
package protocol LogFile: AnyObject {
    /// Writes all of it or throws; then the file may have grown by some of it.
    func write(_ bytes: [UInt8]) throws(LogError)
    /// Waits until the content is on disk.
    func synchronize() throws(LogError)
    func truncate(to bytes: Int) throws(LogError)
}

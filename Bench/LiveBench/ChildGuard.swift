import Foundation

/// Ends a child process when this one has gone without a word: by SIGKILL, a second Ctrl-C, a crash.
///
/// A shell waits beside the child for the end of a pipe that only this process holds. That Linux can tell a child of its
/// parent's death is of no use here: the signal comes when the *thread* ends that started the child.
struct ChildGuard {
    private let shell: Process
    private let line: FileHandle

    /// - Throws: What Foundation says when there is no `/bin/sh`.
    init(of child: Int32) throws {
        let pipe = Pipe()
        line = pipe.fileHandleForWriting
        // Not even for a moment may another child hold this end.
        _ = fcntl(line.fileDescriptor, F_SETFD, FD_CLOEXEC)
        shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        // A signal to all of a terminal's programs is not for this one.
        shell.arguments = ["-c", "trap '' INT TERM HUP; read -r word || kill -KILL \(child) 2>/dev/null"]
        shell.standardInput = pipe
        shell.standardOutput = FileHandle.nullDevice
        shell.standardError = FileHandle.nullDevice
        try shell.run()
    }

    /// The child has ended; its number may be another's soon.
    func end() {
        guard shell.isRunning else { return }
        try? line.write(contentsOf: Data("over\n".utf8))
        shell.waitUntilExit()
    }
}

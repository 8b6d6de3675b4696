import Glibc

/// Exchanges two entries of a folder in one step (Linux 3.15, glibc 2.28). Sets `errno` when it returns false.
func exchange(_ first: String, _ second: String, in folder: Int32) -> Bool {
    // The C library's module leaves GNU extensions out, so the function is looked up by name.
    typealias RenameAt2 = @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
    let renameExchange: UInt32 = 1 << 1
    guard let symbol = dlsym(nil, "renameat2") else {
        errno = ENOSYS
        return false
    }
    let renameat2 = unsafeBitCast(symbol, to: RenameAt2.self)
    return renameat2(folder, first, folder, second, renameExchange) == 0
}

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What the process does with signals.
enum SignalState {
    /// Whether whoever started the process has it ignore the signal, as nohup does.
    static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        #if canImport(Glibc)
            let handler = action.__sigaction_handler.sa_handler
        #else
            let handler = action.__sigaction_u.__sa_handler
        #endif
        // The one handler that is a small number and no function.
        return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }
}

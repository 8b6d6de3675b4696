/// Why a batch of rows was handed to a model when it was.
package enum BatchCloseReason: UInt8, CaseIterable, Sendable {
    /// As many rows waited as go through the model at once.
    case full
    /// There was nothing else to do.
    case idle
    /// Waiting longer would have missed a deadline.
    case deadline
    /// More rows would not have made it cheaper, as far as batches were measured.
    case cheap
    /// The rest of a request that had been begun.
    case rest
    /// The model serves no new requests.
    case drain

    package var label: String { "\(self)" }
}

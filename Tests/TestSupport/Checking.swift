import Testing

/// An expectation for loops of millions: nothing but a comparison while it holds.
///
/// - Returns: Whether it holds.
@discardableResult
package func check(
    _ holds: Bool, _ words: @autoclosure () -> String, sourceLocation: SourceLocation = #_sourceLocation
) -> Bool {
    if !holds { Issue.record("\(words())", sourceLocation: sourceLocation) }
    return holds
}

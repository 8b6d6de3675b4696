import Foundation

/// What else runs on the machine.
package enum MachineLoad {
    /// A note when the load average of the last minute says that a measurement has company; nil: the machine is quiet.
    package static func note(average: Double, cores: Int) -> String? {
        guard average > 0.5 * Double(cores) else { return nil }
        return String(
            format: "note: the load average of the last minute is %.1f on %d cores; other programs run beside this"
                + " measurement, and show in every time", average, cores)
    }

    /// The note for this moment.
    package static func note() -> String? {
        var averages = [0.0]
        guard getloadavg(&averages, 1) == 1 else { return nil }
        return note(average: averages[0], cores: ProcessInfo.processInfo.activeProcessorCount)
    }
}

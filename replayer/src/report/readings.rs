//! What the kernel said of the process while it was recorded, in few numbers.

use malloscope_traces::readings::{Mappings, Reading};
use serde::Serialize;

/// What the kernel said of a process, from the first reading to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KernelSaid {
    /// How often it was asked.
    pub readings: u64,
    /// From when, and until when, in nanoseconds since the trace began.
    pub from_nanos: u64,
    /// See there.
    pub until_nanos: u64,
    /// Bytes of the process that were in memory in the end.
    pub resident: u64,
    /// The most of any reading.
    pub peak_resident: u64,
    /// The most there ever were, by the kernel's own count, also before the recording and between readings.
    pub most_resident: u64,
    /// Pages touched for the first time, or no longer shared, from the first reading to the last.
    pub minor_faults: u64,
    /// Pages that had to come from a disk, from the first reading to the last.
    pub major_faults: u64,
    /// What its mappings said, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mappings: Option<MappingsSaid>,
}

/// What a process's mappings said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MappingsSaid {
    /// How often they were asked for.
    pub readings: u64,
    /// When for the last time, in nanoseconds since the trace began.
    pub until_nanos: u64,
    /// Bytes in memory then, those shared with other processes divided by their number.
    pub proportional: u64,
    /// The heap and the other arenas then: bytes that could be used, and those of them in memory.
    pub malloc_mapped: u64,
    /// See there.
    pub malloc_resident: u64,
    /// The most of those in memory at any reading.
    pub peak_malloc_resident: u64,
}

/// What malloc has in memory for the heap and the arenas; chunks with mappings of their own are not told from other memory.
fn resident_of_malloc(mappings: &Mappings) -> u64 {
    mappings.heap.resident.saturating_add(mappings.arenas.resident)
}

impl KernelSaid {
    /// In few numbers; nothing if it was not asked.
    pub fn of(readings: &[Reading]) -> Option<KernelSaid> {
        let (first, last) = (readings.first()?, readings.last()?);
        let most = |of: fn(&Reading) -> u64| readings.iter().map(of).max().unwrap_or(0);
        Some(KernelSaid {
            readings: readings.len() as u64,
            from_nanos: first.time.0,
            until_nanos: last.time.0,
            resident: last.resident,
            peak_resident: most(|reading| reading.resident),
            most_resident: most(|reading| reading.most_resident),
            minor_faults: last.minor_faults.saturating_sub(first.minor_faults),
            major_faults: last.major_faults.saturating_sub(first.major_faults),
            mappings: MappingsSaid::of(readings),
        })
    }
}

impl MappingsSaid {
    fn of(readings: &[Reading]) -> Option<MappingsSaid> {
        let said = || readings.iter().filter_map(|reading| Some((reading.time, reading.mappings?)));
        let (time, last) = said().next_back()?;
        Some(MappingsSaid {
            readings: said().count() as u64,
            until_nanos: time.0,
            proportional: last.proportional,
            malloc_mapped: last.heap.mapped.saturating_add(last.arenas.mapped),
            malloc_resident: resident_of_malloc(&last),
            peak_malloc_resident: said().map(|(_, one)| resident_of_malloc(&one)).max().unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use malloscope_traces::Nanos;
    use malloscope_traces::readings::Extent;

    use super::*;

    #[test]
    fn faults_count_from_the_first_reading_and_mappings_where_they_were_asked_for() {
        let reading = |time: u64, resident: u64, minor_faults: u64, mappings: Option<Mappings>| Reading {
            time: Nanos(time),
            resident,
            most_resident: 90,
            minor_faults,
            major_faults: 4,
            mappings,
        };
        let mappings = |resident: u64| Mappings {
            proportional: 7,
            heap: Extent { mapped: 100, resident },
            arenas: Extent { mapped: 50, resident: 5 },
        };
        let readings = [
            reading(10, 60, 1000, Some(mappings(40))),
            reading(20, 80, 1010, Some(mappings(30))),
            reading(30, 70, 1100, None),
        ];
        let said = KernelSaid::of(&readings).expect("it was asked");
        let expected = KernelSaid {
            readings: 3,
            from_nanos: 10,
            until_nanos: 30,
            resident: 70,
            peak_resident: 80,
            most_resident: 90,
            minor_faults: 100,
            major_faults: 0,
            mappings: Some(MappingsSaid {
                readings: 2,
                until_nanos: 20,
                proportional: 7,
                malloc_mapped: 150,
                malloc_resident: 35,
                peak_malloc_resident: 45,
            }),
        };
        assert_eq!(said, expected);
        assert_eq!(KernelSaid::of(&[]), None);
    }
}

//! Gives back the memory of code that has done its work.
//!
//! Reading rules runs through megabytes of this program (the Starlark evaluator, the parser of shell
//! scripts), and whatever was touched, with what lies near it, counts as this process's memory from then on.
//! Most of it is never needed again.
#![expect(unsafe_code, reason = "madvise on the program's own code has no safe interface")]

use std::ops::Range;

/// Unmaps the pages of this program's code. Those that are needed again come back by themselves, from the
/// kernel's cache of the file: some microseconds for each 64 KiB, once. What cannot be found is left alone.
pub(crate) fn release_code() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Some(code) = mapping_of_code(&maps, release_code as fn() as usize) else { return };
    // SAFETY: MADV_DONTNEED forgets what was only in memory and reads the rest from the file again. The range
    // is one whole mapping, private and never writable, so nothing of it is only in memory. Its code may run
    // meanwhile, in any thread.
    unsafe {
        libc::madvise(std::ptr::with_exposed_provenance_mut(code.start), code.len(), libc::MADV_DONTNEED)
    };
}

/// The private mapping that may be executed, not written, and holds this address (proc_pid_maps(5)).
fn mapping_of_code(maps: &str, address: usize) -> Option<Range<usize>> {
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        // Permissions, offset, device, inode: without a file behind it, what is forgotten is lost.
        let is_code = fields.next()? == "r-xp" && fields.nth(2)? != "0";
        (is_code && range.contains(&address)).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mapping_that_cannot_be_written_is_taken_for_code() {
        let maps = "1000-2000 r--p 00000000 08:01 7 /bin/x\n2000-4000 r-xp 00001000 08:01 7 /bin/x\n4000-5000 rwxp 00003000 08:01 7 /bin/x\n5000-6000 rw-p 00000000 00:00 0 \n6000-7000 r-xp 00000000 00:00 0 \n";
        assert_eq!(mapping_of_code(maps, 0x3fff), Some(0x2000..0x4000));
        for other in [0x1000, 0x4000, 0x5000, 0x6000] {
            assert_eq!(mapping_of_code(maps, other), None, "{other:x}");
        }
    }

    #[test]
    fn code_is_out_of_memory_once_released_and_still_runs() {
        let resident = || {
            let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let code = mapping_of_code(&smaps, release_code as fn() as usize).unwrap();
            let header = format!("{:x}-{:x} r-xp", code.start, code.end);
            let (_, mapping) = smaps.split_once(&header).unwrap();
            let rss = mapping.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
            rss.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
        };
        let read = || {
            let file = std::path::Path::new("rules");
            execpolicy::Policy::from_text(file, "prefix_rule([\"a\"])").unwrap();
        };
        read();
        let before = resident();
        // Other tests run beside this one, and bring some of it back.
        let is_less = |_| {
            release_code();
            resident() < before
        };
        assert!((0..1000).any(is_less), "{before} KiB");
        read();
    }
}

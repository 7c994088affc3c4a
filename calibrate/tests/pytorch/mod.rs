//! Writing files as `torch.save` does, and as nobody should.

/// A record: name, data.
pub(crate) type Record = (String, Vec<u8>);

/// What a pickle refers to, tensor by tensor.
#[derive(Default)]
pub(crate) struct Pickle {
    bytes: Vec<u8>,
    storages: Vec<Record>,
}

impl Pickle {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        self.raw(b"X").raw(&length).raw(text.as_bytes())
    }

    fn int(&mut self, number: usize) -> &mut Self {
        let number = u32::try_from(number).unwrap().to_le_bytes();
        self.raw(b"J").raw(&number)
    }

    fn ints(&mut self, numbers: &[usize]) -> &mut Self {
        self.raw(b"(");
        for &number in numbers {
            self.int(number);
        }
        self.raw(b"t")
    }

    /// A key and a dictionary with what `fill` adds.
    pub(crate) fn dict(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        self.text(key).raw(b"ccollections\nOrderedDict\n)R");
        fill(self);
        self.raw(b"s");
    }

    /// A key and a row-major tensor of half-precision values.
    pub(crate) fn half(&mut self, key: &str, shape: &[usize], data: &[u8]) {
        let number = self.storages.len().to_string();
        self.storages
            .push((format!("data/{number}"), data.to_vec()));
        let stride = |at: usize| shape[at + 1..].iter().product();
        let strides: Vec<usize> = (0..shape.len()).map(stride).collect();
        self.text(key).raw(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage").raw(b"ctorch\nHalfStorage\n");
        self.text(&number)
            .text("cpu")
            .int(data.len() / 2)
            .raw(b"tQ");
        self.int(0).ints(shape).ints(&strides);
        self.raw(b"\x89ccollections\nOrderedDict\n)RtRs");
    }

    /// The records of a file whose outermost dictionary holds what `fill` adds.
    pub(crate) fn records(fill: impl FnOnce(&mut Self)) -> Vec<Record> {
        let mut pickle = Self::default();
        pickle.raw(b"\x80\x02}");
        fill(&mut pickle);
        pickle.raw(b".");
        let mut records = vec![("data.pkl".to_owned(), pickle.bytes)];
        records.push(("byteorder".into(), b"little".to_vec()));
        records.append(&mut pickle.storages);
        records
    }

    /// A file whose outermost dictionary holds what `fill` adds.
    pub(crate) fn file(fill: impl FnOnce(&mut Self)) -> Vec<u8> {
        Zip::of(&Self::records(fill)).finish()
    }
}

/// A zip archive in the making.
#[derive(Default)]
pub(crate) struct Zip {
    pub(crate) bytes: Vec<u8>,
    /// The directory's entries.
    pub(crate) entries: Vec<Vec<u8>>,
}

/// Where an entry of the directory has the offset of its record.
pub(crate) const OFFSET: usize = 42;
/// Where it has the method of compression.
pub(crate) const METHOD: usize = 10;

impl Zip {
    /// The records in the folder `archive`.
    pub(crate) fn of(records: &[Record]) -> Self {
        let mut zip = Self::default();
        for (name, data) in records {
            zip.add(&format!("archive/{name}"), data);
        }
        zip
    }

    /// Adds a stored record.
    pub(crate) fn add(&mut self, name: &str, data: &[u8]) {
        let offset = u32::try_from(self.bytes.len()).unwrap();
        let size = u32::try_from(data.len()).unwrap().to_le_bytes();
        let length = u16::try_from(name.len()).unwrap().to_le_bytes();
        let crc = rawzip::crc32(data).to_le_bytes();
        // Version, flags, method, time, date.
        let common = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &crc,
            &size,
            &size,
            &length,
            &[0, 0],
        ]
        .concat();
        self.bytes
            .extend([b"PK\x03\x04", &common[..], name.as_bytes(), data].concat());
        let start = [
            b"PK\x01\x02\x14\0",
            &common[..],
            &[0; 10],
            &offset.to_le_bytes(),
        ]
        .concat();
        self.entries.push([&start[..], name.as_bytes()].concat());
    }

    /// The file.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.close(false)
    }

    /// The file with an end for more than 65,535 records, which any number may have.
    pub(crate) fn finish_zip64(self) -> Vec<u8> {
        self.close(true)
    }

    fn close(mut self, is_zip64: bool) -> Vec<u8> {
        let (start, count) = (self.bytes.len(), self.entries.len());
        self.bytes.extend(self.entries.concat());
        let (end, size) = (self.bytes.len(), self.bytes.len() - start);
        let mut push = |bytes: &[u8]| self.bytes.extend_from_slice(bytes);
        if is_zip64 {
            push(b"PK\x06\x06");
            push(&44u64.to_le_bytes());
            push(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for number in [count, count, size, start] {
                push(&(number as u64).to_le_bytes());
            }
            push(b"PK\x06\x07\0\0\0\0");
            push(&(end as u64).to_le_bytes());
            push(&1u32.to_le_bytes());
        }
        push(b"PK\x05\x06\0\0\0\0");
        for _ in 0..2 {
            let count = if is_zip64 {
                u16::MAX
            } else {
                u16::try_from(count).unwrap()
            };
            push(&count.to_le_bytes());
        }
        for number in [size, start] {
            let number = if is_zip64 {
                u32::MAX
            } else {
                u32::try_from(number).unwrap()
            };
            push(&number.to_le_bytes());
        }
        push(&[0, 0]);
        self.bytes
    }
}

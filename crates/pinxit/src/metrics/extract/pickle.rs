//! The part of Python's pickle that state dicts are written in, read without executing anything.
//!
//! A pickle is a program for a small stack machine (CPython's `pickletools.py` lists its
//! instructions). This reader builds plain values; a global such as `torch.FloatStorage` stays a
//! name, and a call is only recorded. What a value means is decided by whoever asked for it.

use std::rc::Rc;

/// Something that a pickle holds.
#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(Rc<str>),
    /// A long integer beyond 64 bits, a fraction, or bytes: nothing that a state dict needs.
    Opaque,
    /// `module.name`.
    Global(Rc<str>),
    Tuple(Rc<[Value]>),
    /// A list, by its place among the lists of the pickle.
    List(usize),
    /// A dictionary, by its place among the dictionaries of the pickle.
    Dict(usize),
    /// What stands outside the pickle, named by this.
    Persistent(Rc<Value>),
    /// A function that the pickle asks to call, and its arguments.
    Call(Rc<(Value, Value)>),
    Mark,
}

/// A pickle as values.
#[derive(Debug, Default)]
pub(super) struct Pickle {
    lists: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
}

/// Most instructions of a pickle: a state dict of ten thousand tensors needs a tenth.
const MOST: usize = 4_000_000;

impl Pickle {
    /// Reads one pickle off the front of `bytes`; the error is the reason why it can't be.
    pub(super) fn read(bytes: &mut &[u8]) -> Result<(Self, Value), String> {
        let mut machine = Machine { bytes, stack: Vec::new(), memo: Vec::new(), pickle: Self::default() };
        for _ in 0..MOST {
            if let Some(value) = machine.step()? {
                return Ok((machine.pickle, value));
            }
        }
        Err("its pickle is endless".into())
    }

    /// The pairs of a dictionary.
    pub(super) fn dict(&self, value: &Value) -> Option<&[(Value, Value)]> {
        match value {
            Value::Dict(index) => self.dicts.get(*index).map(Vec::as_slice),
            // `collections.OrderedDict` is a call without arguments that is filled afterwards.
            _ => None,
        }
    }

    /// The items of a list.
    pub(super) fn list(&self, value: &Value) -> Option<&[Value]> {
        match value {
            Value::List(index) => self.lists.get(*index).map(Vec::as_slice),
            _ => None,
        }
    }
}

impl Value {
    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Bool(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn tuple(&self) -> Option<&[Value]> {
        match self {
            Self::Tuple(values) => Some(values),
            _ => None,
        }
    }
}

struct Machine<'a, 'b> {
    bytes: &'a mut &'b [u8],
    stack: Vec<Value>,
    memo: Vec<Option<Value>>,
    pickle: Pickle,
}

impl Machine<'_, '_> {
    /// One instruction; the value when it was the last one.
    fn step(&mut self) -> Result<Option<Value>, String> {
        let code = self.take(1)?[0];
        match code {
            b'.' => return self.pop().map(Some),
            0x80 => _ = self.take(1)?, // PROTO
            0x95 => _ = self.take(8)?, // FRAME
            b'(' => self.stack.push(Value::Mark),
            b'0' => _ = self.pop()?,
            b'1' => _ = self.above_mark()?,
            b'2' => self.duplicate()?,
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | b'G' | 0x8A | 0x8B => self.number(code)?,
            b'X' | 0x8C | 0x8D | b'U' | b'T' | b'B' | b'C' | 0x8E => self.string(code)?,
            b']' | b'}' | b')' | b't' | 0x85..=0x87 | b'l' | b'd' => self.container(code)?,
            b'a' | b'e' | b's' | b'u' => self.fill(code)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memory(code)?,
            b'c' | 0x93 | b'R' | 0x81 | b'b' | b'Q' => self.object(code)?,
            other => {
                return Err(format!("its pickle has the instruction {other:#04x}, which state dicts don't"));
            }
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let (head, rest) = self.bytes.split_at_checked(count).ok_or("its pickle is cut off")?;
        *self.bytes = rest;
        Ok(head)
    }

    /// A number of `N` bytes, little-endian.
    fn unsigned(&mut self, count: usize) -> Result<usize, String> {
        let bytes = self.take(count)?;
        let value = bytes.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        usize::try_from(value).map_err(|_| "its pickle has a length beyond all memory".into())
    }

    fn line(&mut self) -> Result<String, String> {
        let end = self.bytes.iter().position(|&byte| byte == b'\n').ok_or("its pickle is cut off")?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Ok(line)
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(|| "its pickle takes from an empty stack".into())
    }

    fn duplicate(&mut self) -> Result<(), String> {
        let top = self.pop()?;
        self.stack.extend([top.clone(), top]);
        Ok(())
    }

    /// Everything above the last mark, and the mark taken away.
    fn above_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.stack.iter().rposition(|value| matches!(value, Value::Mark));
        let values = self.stack.split_off(mark.ok_or("its pickle lacks a mark")?);
        Ok(values.into_iter().skip(1).collect())
    }

    fn number(&mut self, code: u8) -> Result<(), String> {
        let value = match code {
            b'K' => Value::Int(self.unsigned(1)? as i64),
            b'M' => Value::Int(self.unsigned(2)? as i64),
            b'J' => Value::Int(i64::from(self.unsigned(4)? as u32 as i32)),
            b'G' => {
                self.take(8)?;
                Value::Opaque
            }
            _ => {
                let length = self.unsigned(if code == 0x8A { 1 } else { 4 })?;
                let bytes = self.take(length)?;
                match (bytes.len(), bytes.last()) {
                    (1..=8, Some(&last)) => {
                        let sign: i64 = if last >= 0x80 { -1 } else { 0 };
                        Value::Int(bytes.iter().rev().fold(sign, |value, &byte| value << 8 | i64::from(byte)))
                    }
                    (0, _) => Value::Int(0),
                    _ => Value::Opaque,
                }
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn string(&mut self, code: u8) -> Result<(), String> {
        let size = match code {
            0x8C | b'U' | b'C' => 1,
            0x8D | 0x8E => 8,
            _ => 4,
        };
        let length = self.unsigned(size)?;
        let bytes = self.take(length)?;
        let value = match code {
            b'B' | b'C' | 0x8E => Value::Opaque,
            _ => Value::Text(String::from_utf8_lossy(bytes).into()),
        };
        self.stack.push(value);
        Ok(())
    }

    fn container(&mut self, code: u8) -> Result<(), String> {
        let value = match code {
            b']' => self.new_list(Vec::new()),
            b'l' => {
                let items = self.above_mark()?;
                self.new_list(items)
            }
            b'}' => self.new_dict(Vec::new()),
            b'd' => {
                let pairs = pairs(self.above_mark()?);
                self.new_dict(pairs)
            }
            b')' => Value::Tuple([].into()),
            b't' => Value::Tuple(self.above_mark()?.into()),
            _ => {
                let count = usize::from(code - 0x84);
                let start =
                    self.stack.len().checked_sub(count).ok_or("its pickle takes from an empty stack")?;
                Value::Tuple(self.stack.split_off(start).into())
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn new_list(&mut self, items: Vec<Value>) -> Value {
        self.pickle.lists.push(items);
        Value::List(self.pickle.lists.len() - 1)
    }

    fn new_dict(&mut self, pairs: Vec<(Value, Value)>) -> Value {
        self.pickle.dicts.push(pairs);
        Value::Dict(self.pickle.dicts.len() - 1)
    }

    /// Puts what lies on the stack into the list or dictionary below it.
    fn fill(&mut self, code: u8) -> Result<(), String> {
        let items = match code {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.above_mark()?,
        };
        match (code, self.stack.last()) {
            (b'a' | b'e', Some(Value::List(index))) => self.pickle.lists[*index].extend(items),
            (b's' | b'u', Some(Value::Dict(index))) => self.pickle.dicts[*index].extend(pairs(items)),
            _ => return Err("its pickle fills something that is no container".into()),
        }
        Ok(())
    }

    fn memory(&mut self, code: u8) -> Result<(), String> {
        let place = match code {
            b'q' | b'h' => self.unsigned(1)?,
            b'r' | b'j' => self.unsigned(4)?,
            _ => self.memo.len(),
        };
        if matches!(code, b'h' | b'j') {
            let value =
                self.memo.get(place).cloned().flatten().ok_or("its pickle recalls what it never stored")?;
            self.stack.push(value);
            return Ok(());
        }
        let value = self.stack.last().cloned().ok_or("its pickle takes from an empty stack")?;
        if place >= MOST {
            return Err("its pickle stores in a place beyond all reason".into());
        }
        if self.memo.len() <= place {
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = Some(value);
        Ok(())
    }

    fn object(&mut self, code: u8) -> Result<(), String> {
        let value = match code {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Value::Global(format!("{module}.{name}").into())
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(name), Some(module)) = (name.text(), module.text()) else {
                    return Err("its pickle names a global by no name".into());
                };
                Value::Global(format!("{module}.{name}").into())
            }
            b'Q' => Value::Persistent(Rc::new(self.pop()?)),
            b'b' => return self.pop().map(drop), // the state of an object: attributes, no tensors
            _ => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                match &function {
                    Value::Global(name) if &**name == "collections.OrderedDict" => self.new_dict(Vec::new()),
                    _ => Value::Call(Rc::new((function, arguments))),
                }
            }
        };
        self.stack.push(value);
        Ok(())
    }
}

fn pairs(items: Vec<Value>) -> Vec<(Value, Value)> {
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
}

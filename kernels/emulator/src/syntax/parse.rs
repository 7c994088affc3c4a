//! Tokens to statements.

use super::lexer::{Token, tokenize};
use super::types::{Type, VariableSpace};
use super::{Instruction, Item, Kernel, Operand, ParseError, Syntax, Value, Variable};

/// Braces around braces of initial values: more dimensions than an array has, and few enough for the stack.
const MAX_NESTED: usize = 16;

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Result<Syntax<'_>, ParseError> {
    let mut parser = Parser {
        tokens: tokenize(text)?,
        at: 0,
    };
    parser.module()
}

struct Parser<'a> {
    tokens: Vec<(Token<'a>, u32)>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).map(|&(token, _)| token)
    }

    fn line(&self) -> u32 {
        let at = self.at.min(self.tokens.len().saturating_sub(1));
        self.tokens.get(at).map_or(1, |&(_, line)| line)
    }

    fn fail<T>(&self, wanted: &str) -> Result<T, ParseError> {
        let what = match self.peek() {
            Some(token) => format!("expected {wanted}, found {token:?}"),
            None => format!("expected {wanted}, found the end"),
        };
        Err(ParseError::new(self.line(), what))
    }

    fn take(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: char) -> Result<(), ParseError> {
        if self.take(mark) {
            return Ok(());
        }
        self.fail(&format!("{mark:?}"))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(Token::Word(word));
        self.at += usize::from(found);
        found
    }

    fn word(&mut self) -> Result<&'a str, ParseError> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => self.fail("a name"),
        }
    }

    fn integer(&mut self) -> Result<u64, ParseError> {
        match self.peek() {
            Some(Token::Integer(value)) => {
                self.at += 1;
                Ok(value)
            }
            _ => self.fail("an integer"),
        }
    }

    fn small(&mut self) -> Result<u32, ParseError> {
        let line = self.line();
        u32::try_from(self.integer()?).map_err(|_| ParseError::new(line, "number too large"))
    }

    /// PTX ISA 11 "Directives".
    fn module(&mut self) -> Result<Syntax<'a>, ParseError> {
        let mut syntax = Syntax::default();
        let mut external = false;
        while self.peek().is_some() {
            let line = self.line();
            match self.word()? {
                ".version" => self.version()?,
                ".target" => self.target()?,
                ".address_size" => {
                    if self.integer()? != 64 {
                        return Err(ParseError::new(line, "only addresses of 64 bits"));
                    }
                }
                ".visible" | ".weak" | ".common" => {}
                ".extern" => external = true,
                ".pragma" => self.skip_past_semicolon(),
                ".file" => self.debug_file(),
                ".entry" => syntax.kernels.push(self.kernel(line)?),
                word => {
                    let Some(space) = variable_space(word) else {
                        return Err(ParseError::new(line, format!("unknown directive {word}")));
                    };
                    let variable = self.variable(space, external)?;
                    self.expect(';')?;
                    syntax.variables.push(variable);
                    external = false;
                }
            }
        }
        Ok(syntax)
    }

    fn version(&mut self) -> Result<(), ParseError> {
        let line = self.line();
        let version = self.word()?;
        if version.starts_with("7.") || version.starts_with("8.") {
            return Ok(());
        }
        Err(ParseError::new(
            line,
            format!("PTX version {version}, must be 7.x or 8.x"),
        ))
    }

    fn target(&mut self) -> Result<(), ParseError> {
        loop {
            self.word()?;
            if !self.take(',') {
                return Ok(());
            }
        }
    }

    fn skip_past_semicolon(&mut self) {
        while self.peek().is_some() && !self.take(';') {
            self.at += 1;
        }
    }

    /// `.file 1 "name"`, for debuggers.
    fn debug_file(&mut self) {
        while matches!(
            self.peek(),
            Some(Token::Integer(_) | Token::Text(_) | Token::Mark(','))
        ) {
            self.at += 1;
        }
    }

    fn kernel(&mut self, line: u32) -> Result<Kernel<'a>, ParseError> {
        let name = self.word()?;
        let mut params = Vec::new();
        if self.take('(') && !self.take(')') {
            loop {
                if !self.take_word(".param") {
                    return self.fail(".param");
                }
                params.push(self.variable(VariableSpace::Param, false)?);
                if !self.take(',') {
                    break;
                }
            }
            self.expect(')')?;
        }
        let mut max_threads = None;
        loop {
            match self.peek() {
                Some(Token::Word(".maxntid" | ".reqntid")) => {
                    self.at += 1;
                    let numbers = self.numbers()?;
                    let product = numbers
                        .iter()
                        .try_fold(1u32, |product, &n| product.checked_mul(n));
                    let Some(threads) = product else {
                        return Err(ParseError::new(line, "number of threads"));
                    };
                    max_threads = Some(threads);
                }
                Some(Token::Word(".minnctapersm" | ".maxnreg")) => {
                    self.at += 1;
                    self.numbers()?;
                }
                _ => break,
            }
        }
        let items = self.body()?;
        Ok(Kernel {
            name,
            params,
            max_threads,
            items,
            line,
        })
    }

    fn numbers(&mut self) -> Result<Vec<u32>, ParseError> {
        let mut numbers = vec![self.small()?];
        while self.take(',') {
            numbers.push(self.small()?);
        }
        Ok(numbers)
    }

    /// `.align 4 .b32 name[7] = {1, 2}`, after the state space.
    fn variable(
        &mut self,
        space: VariableSpace,
        external: bool,
    ) -> Result<Variable<'a>, ParseError> {
        let line = self.line();
        let mut align = None;
        if self.take_word(".align") {
            align = Some(self.small()?);
        }
        let mut ty = self.ty()?;
        let mut lanes = 1;
        if let Some(count) = [(".v2", 2), (".v4", 4)]
            .iter()
            .find(|(word, _)| self.take_word(word))
        {
            lanes = count.1;
        }
        if self.take_word(".ptr") {
            ty = self.pointer(ty)?;
        }
        let name = self.word()?;
        let mut count = Some(lanes);
        while self.take('[') {
            if self.take(']') {
                count = None;
                continue;
            }
            let more = self.small()?;
            count = count.and_then(|count: u32| count.checked_mul(more));
            self.expect(']')?;
        }
        let mut values = Vec::new();
        if self.take('=') {
            self.values(&mut values, 0)?;
        }
        let align = align.unwrap_or(ty.bytes() * lanes);
        if !align.is_power_of_two() || align > 4096 {
            return Err(ParseError::new(line, format!("alignment of {align} bytes")));
        }
        Ok(Variable {
            name,
            space,
            ty,
            align,
            count,
            external,
            values,
            line,
        })
    }

    /// `.ptr .global .align 8`: what a parameter points to.
    fn pointer(&mut self, ty: Type) -> Result<Type, ParseError> {
        if let Some(Token::Word(".global" | ".const" | ".shared" | ".local")) = self.peek() {
            self.at += 1;
        }
        if self.take_word(".align") {
            self.small()?;
        }
        Ok(ty)
    }

    /// Initial values inside `depth` pairs of braces.
    fn values(&mut self, values: &mut Vec<Value<'a>>, depth: usize) -> Result<(), ParseError> {
        let line = self.line();
        if self.take('{') {
            if depth == MAX_NESTED {
                let what = format!("initial values nested in more than {MAX_NESTED} braces");
                return Err(ParseError::new(line, what));
            }
            if self.take('}') {
                return Ok(());
            }
            loop {
                self.values(values, depth + 1)?;
                if !self.take(',') {
                    return self.expect('}');
                }
            }
        }
        let value = match self.operand()? {
            Operand::Integer(bits) | Operand::Float64(bits) => Value::Bits(bits),
            Operand::Float32(bits) => Value::Bits(bits.into()),
            Operand::Word("generic", 0) if self.take('(') => {
                let value = self.operand()?;
                self.expect(')')?;
                match value {
                    Operand::Word(name, offset) => Value::Address(name, offset),
                    _ => return self.fail("a variable"),
                }
            }
            Operand::Word(name, offset) => Value::Address(name, offset),
            _ => return self.fail("an initial value"),
        };
        values.push(value);
        Ok(())
    }

    fn ty(&mut self) -> Result<Type, ParseError> {
        let line = self.line();
        let word = self.word()?;
        word.strip_prefix('.')
            .and_then(Type::named)
            .ok_or_else(|| ParseError::new(line, format!("unknown type {word}")))
    }

    fn body(&mut self) -> Result<Vec<Item<'a>>, ParseError> {
        self.expect('{')?;
        let (mut items, mut depth) = (Vec::new(), 0usize);
        loop {
            let line = self.line();
            if self.take('{') {
                depth += 1;
                items.push(Item::Open);
            } else if self.take('}') {
                if depth == 0 {
                    return Ok(items);
                }
                depth -= 1;
                items.push(Item::Close);
            } else if self.take(';') {
                // An empty statement, as inline assembly leaves them.
            } else if let Some(Token::Word(word)) = self.peek()
                && word.starts_with('.')
            {
                self.at += 1;
                self.body_directive(word, line, &mut items)?;
            } else if let Some(&(Token::Mark(':'), _)) = self.tokens.get(self.at + 1) {
                let name = self.word()?;
                self.at += 1;
                if self.take_word(".branchtargets") {
                    let targets = self.names()?;
                    self.expect(';')?;
                    items.push(Item::Targets(name, targets));
                } else {
                    items.push(Item::Label(name, line));
                }
            } else {
                items.push(Item::Instruction(self.instruction()?));
            }
        }
    }

    fn names(&mut self) -> Result<Vec<&'a str>, ParseError> {
        let mut names = vec![self.word()?];
        while self.take(',') {
            names.push(self.word()?);
        }
        Ok(names)
    }

    fn body_directive(
        &mut self,
        word: &str,
        line: u32,
        items: &mut Vec<Item<'a>>,
    ) -> Result<(), ParseError> {
        match word {
            ".reg" => {
                let ty = self.ty()?;
                loop {
                    let name = self.word()?;
                    let mut count = None;
                    if self.take('<') {
                        count = Some(self.small()?);
                        self.expect('>')?;
                    }
                    items.push(Item::Registers {
                        ty,
                        name,
                        count,
                        line,
                    });
                    if !self.take(',') {
                        break;
                    }
                }
                self.expect(';')
            }
            ".pragma" => self.pragma(items),
            // Line numbers for debuggers.
            ".loc" => {
                for _ in 0..3 {
                    self.integer()?;
                }
                Ok(())
            }
            _ => {
                let Some(space) = variable_space(word) else {
                    return Err(ParseError::new(line, format!("unknown directive {word}")));
                };
                let variable = self.variable(space, false)?;
                items.push(Item::Variable(variable));
                self.expect(';')
            }
        }
    }

    /// PTX ISA 11.4 ".pragma" and the chapter "Descriptions of .pragma Strings".
    fn pragma(&mut self, items: &mut Vec<Item<'a>>) -> Result<(), ParseError> {
        let line = self.line();
        let Some(Token::Text(text)) = self.peek() else {
            return self.fail("a string");
        };
        self.at += 1;
        if let Some(mask) = text.strip_prefix("used_bytes_mask ") {
            let mask = mask.trim();
            let bits = match mask.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16),
                None => mask.parse(),
            };
            let bits = bits.map_err(|_| ParseError::new(line, format!("pragma {text:?}")))?;
            items.push(Item::UsedBytes(bits));
        } else if text != "nounroll" {
            return Err(ParseError::new(line, format!("unknown pragma {text:?}")));
        }
        self.expect(';')
    }

    fn instruction(&mut self) -> Result<Instruction<'a>, ParseError> {
        let line = self.line();
        let mut guard = None;
        if self.take('@') {
            let negated = self.take('!');
            guard = Some((self.word()?, negated));
        }
        let opcode = self.word()?;
        let mut operands = Vec::new();
        if !self.take(';') {
            loop {
                operands.push(self.operand()?);
                if !self.take(',') {
                    break;
                }
            }
            self.expect(';')?;
        }
        Ok(Instruction {
            guard,
            opcode,
            operands,
            line,
        })
    }

    fn operand(&mut self) -> Result<Operand<'a>, ParseError> {
        if self.take('!') {
            return Ok(Operand::Not(self.word()?));
        }
        if self.take('{') {
            let mut parts = vec![self.element()?];
            while self.take(',') {
                parts.push(self.element()?);
            }
            self.expect('}')?;
            return Ok(Operand::Vector(parts));
        }
        if self.take('[') {
            let mut base = None;
            let mut offset = 0u64;
            if let Some(Token::Integer(value)) = self.peek() {
                self.at += 1;
                offset = value;
            } else {
                base = Some(self.word()?);
            }
            offset = offset.wrapping_add(self.offset()?);
            self.expect(']')?;
            return Ok(Operand::Address(base, offset));
        }
        let operand = match self.peek() {
            Some(Token::Integer(value)) => Operand::Integer(value),
            Some(Token::Float32(bits)) => Operand::Float32(bits),
            Some(Token::Float64(bits)) => Operand::Float64(bits),
            Some(Token::Word(word)) => {
                self.at += 1;
                if self.take('|') {
                    return Ok(Operand::Pair(word, self.word()?));
                }
                return Ok(Operand::Word(word, self.offset()?));
            }
            _ => return self.fail("an operand"),
        };
        self.at += 1;
        Ok(operand)
    }

    /// An operand inside a vector. A vector is none, so that reading operands recurses no deeper.
    fn element(&mut self) -> Result<Operand<'a>, ParseError> {
        if self.peek() == Some(Token::Mark('{')) {
            let what = "a vector nested in a vector, its elements must be registers or constants";
            return Err(ParseError::new(self.line(), what));
        }
        self.operand()
    }

    /// `+8`, `+-8`, `-8` (which the lexer reads as a number) or nothing.
    fn offset(&mut self) -> Result<u64, ParseError> {
        if self.take('+') {
            return self.integer();
        }
        if let Some(Token::Integer(value)) = self.peek() {
            self.at += 1;
            return Ok(value);
        }
        Ok(0)
    }
}

fn variable_space(word: &str) -> Option<VariableSpace> {
    Some(match word {
        ".global" => VariableSpace::Global,
        ".const" => VariableSpace::Const,
        ".shared" => VariableSpace::Shared,
        ".local" => VariableSpace::Local,
        ".param" => VariableSpace::Param,
        _ => return None,
    })
}
